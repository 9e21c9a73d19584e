"""Stability: decides what becomes of a step whose loss is no number or jumps.

A pure function of the loss and a small state. All ranks decide the same if they see the same loss bit for bit, as after
an all-reduce; nothing else is sent. A step has a number, and a batch of samples with another: they part when a rollback
passes over batches.

Source:
    Chowdhery et al., "PaLM: Scaling Language Modeling with Pathways", 2022, section 5.1: after a spike they went back
    to a checkpoint about 100 steps before it and passed over the 200 to 500 batches seen before and during it; the
    same batches made no spike elsewhere. OLMo-core's SkipStepOptimizer leaves out updates whose loss or gradient norm
    is more than 6 standard deviations above the mean of the last 128, once half of them are there, and keeps values
    that are no numbers out of that history. Megatron-LM's rerun state machine calls a loss spiky at 10 times the
    largest of the first 100. Here a median is compared with, which a spike that got through hardly moves.
"""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from fujimi_core.stability_spec import Remedy, StabilitySpec


class Action(Enum):
    """What to do with a step whose loss and gradients are known and whose update is not applied yet."""

    CONTINUE = "apply the update"
    SKIP = "leave out the update and go on with the next step"
    ROLLBACK = "take up the last checkpoint, but keep the state that `decide` returned"
    STOP = "end the run"


@dataclass(frozen=True, slots=True, kw_only=True)
class StabilityState:
    """What is remembered from step to step, and in checkpoints.

    Args:
        losses: The last ones of steps that were applied.
        skipped_in_a_row: Steps up to the last one whose update was left out.
        rolled_back_to: Steps done at the checkpoint that was last taken up for a bad step; -1 if none was.
        rollbacks: How often that was done in a row with this checkpoint.
        passed_over: First and last number of batches that are not to be seen again, in order, apart from each other.
    """

    losses: tuple[float, ...] = ()
    skipped_in_a_row: int = 0
    rolled_back_to: int = -1
    rollbacks: int = 0
    passed_over: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What to do with a step, and the state after it.

    Args:
        action: What to do.
        reason: For the log or the error; empty if nothing is wrong.
        state: For the next step.
    """

    action: Action
    reason: str = ""
    state: StabilityState


def decide(
    spec: StabilitySpec,
    state: StabilityState,
    *,
    step: int,
    loss: float,
    gradients_finite: bool,
    checkpoint_step: int | None,
) -> Decision:
    """Decide what becomes of a step.

    Args:
        spec: What the job wants.
        state: As the step before left it.
        step: Number of the step, from 0.
        loss: Mean over all ranks.
        gradients_finite: Whether the gradients' norm over all ranks is a finite number.
        checkpoint_step: Steps done at the last checkpoint; None if there is none.
    """
    fault = _nan(loss, gradients_finite=gradients_finite)
    remedy = spec.on_nan
    if not fault:
        fault, remedy = _spike(spec, state.losses, loss), spec.on_spike
    if not fault:
        losses = (*state.losses, loss)[-spec.spike_window :] if spec.spike_factor else ()
        return Decision(action=Action.CONTINUE, state=replace(state, losses=losses, skipped_in_a_row=0))
    fault = f"{fault} at step {step + 1}"
    if remedy is Remedy.SKIP:
        return _skip(spec, state, fault)
    if remedy is Remedy.ROLLBACK:
        return _roll_back(spec, state, fault, step=step, checkpoint_step=checkpoint_step)
    return Decision(action=Action.STOP, reason=fault, state=state)


def batch_of(step: int, passed_over: Iterable[tuple[int, int]]) -> int:
    """Number of the batch that a step sees.

    >>> [batch_of(step, [(100, 107), (110, 110)]) for step in (99, 100, 101, 102)]
    [99, 108, 109, 111]

    Args:
        step: From 0.
        passed_over: As of `StabilityState`.
    """
    batch = step
    for first, last in passed_over:
        if batch >= first:
            batch += last - first + 1
    return batch


def _nan(loss: float, *, gradients_finite: bool) -> str:
    if not math.isfinite(loss):
        return f"the loss is {loss}"
    return "" if gradients_finite else "the gradients are not all finite numbers"


def _spike(spec: StabilitySpec, losses: tuple[float, ...], loss: float) -> str:
    if not spec.spike_factor or len(losses) < max(1, spec.spike_window // 2):
        return ""
    usual = statistics.median(losses)
    if loss <= spec.spike_factor * usual:
        return ""
    return f"the loss is {loss:.6g}, above {spec.spike_factor:g} times the usual {usual:.6g},"


def _skip(spec: StabilitySpec, state: StabilityState, fault: str) -> Decision:
    times = state.skipped_in_a_row + 1
    if times > spec.tries:
        reason = f"{fault}, and so was each of the {spec.tries} steps before, which were left out"
        return Decision(action=Action.STOP, reason=reason, state=state)
    return Decision(
        action=Action.SKIP,
        reason=f"{fault}; its update is left out ({times} of {spec.tries} in a row)",
        state=replace(state, skipped_in_a_row=times),
    )


def _roll_back(
    spec: StabilitySpec, state: StabilityState, fault: str, *, step: int, checkpoint_step: int | None
) -> Decision:
    if checkpoint_step is None:
        reason = f"{fault}, and there is no checkpoint to go back to; set train.checkpoint_every"
        return Decision(action=Action.STOP, reason=reason, state=state)
    times = state.rollbacks + 1 if checkpoint_step == state.rolled_back_to else 1
    if times > spec.tries:
        reason = (
            f"{fault}, after {spec.tries} returns to the checkpoint of step {checkpoint_step}, to other samples each"
        )
        return Decision(action=Action.STOP, reason=reason, state=state)
    first, last = batch_of(checkpoint_step, state.passed_over), batch_of(step, state.passed_over)
    return Decision(
        action=Action.ROLLBACK,
        reason=(
            f"{fault}; back to step {checkpoint_step}, and past batches {first} to {last} "
            f"({times} of {spec.tries} times from there)"
        ),
        state=replace(
            state,
            skipped_in_a_row=0,
            rolled_back_to=checkpoint_step,
            rollbacks=times,
            passed_over=_joined([*state.passed_over, (first, last)]),
        ),
    )


def _joined(ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Ranges in order, those that touch made one."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return tuple(joined)
