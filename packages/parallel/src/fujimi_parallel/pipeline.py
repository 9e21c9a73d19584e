"""Runs microbatches through the stages of a rank, forward and backward, in the order of a schedule."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch

from fujimi_parallel.deferral import Deferral
from fujimi_parallel.messages import Messages
from fujimi_parallel.schedules import Action, Work
from fujimi_parallel.stage import Stage
from fujimi_parallel.zero import DataParallel

#: Of the loss of a microbatch: logits, number of the microbatch; returns what is to be made small.
Loss = Callable[[torch.Tensor, int], torch.Tensor]


@dataclass(slots=True)
class _Flight:
    """What a microbatch leaves behind on its way forward."""

    inputs: torch.Tensor
    output: torch.Tensor


@dataclass(frozen=True, slots=True)
class Part:
    """What a rank does with one microbatch, so far as it is not the same as with others.

    Args:
        work: What is done.
        stage: Number of the stage.
        is_first: Whether it is the first microbatch of its pass.
        is_final: Whether it is the last.
        first_pass: Whether no pass came before since the last update.
        last_pass: Whether an update follows the pass.
    """

    work: Work
    stage: int
    is_first: bool
    is_final: bool
    first_pass: bool
    last_pass: bool


class Rehearsal:
    """A step in which each part is done a few times only: enough to know what all of them would do.

    Args:
        begins: Told of each part when it begins, and None when a pass is over.
    """

    def __init__(self, begins: Callable[[Part | None], None]) -> None:
        self.begins = begins
        self.parts: list[Part | None] = []


class Pipeline:
    """The stages of one rank.

    Args:
        stages: By number.
        last: Number of the last stage of all ranks.
        actions: What to do in a pass, in order.
        messages: To and from the ranks of other stages; None if this one has all.
        ranks: Of the pipeline; stage s is on rank s % ranks.
        data: Where gradients go.
        forward_context: Entered for each pass of a stage forward.
    """

    def __init__(
        self,
        stages: Mapping[int, Stage],
        *,
        last: int,
        actions: Sequence[Action],
        messages: Messages | None,
        ranks: int,
        data: DataParallel,
        forward_context: Callable[[], AbstractContextManager[object]],
    ) -> None:
        self._stages = stages
        self._last = last
        self._actions = actions
        self._messages = messages
        self._ranks = ranks
        self._data = data
        self._forward_context = forward_context
        halved = any(action.work is Work.WEIGHTS for action in actions)
        self._deferral = Deferral() if halved else None
        self._flights: dict[tuple[int, int], _Flight] = {}
        self._parameters = {number: stage.parameters_by_name() for number, stage in stages.items()}
        backward = [action for action in actions if action.work in (Work.BACKWARD, Work.INPUTS)]
        self._final = {action.stage: action for action in backward}
        self._rehearsal: Rehearsal | None = None

    def rehearse(self, rehearsal: "Rehearsal") -> None:
        """From now on do only what differs from what was done before, and tell of it."""
        self._rehearsal = rehearsal

    def skip(self) -> bool:
        """Leave out a pass that is like the one before, if this is a rehearsal."""
        if self._rehearsal is not None:
            parts = [self._part(action, first_pass=False, last_pass=False) for action in self._actions]
            self._rehearsal.parts += [*parts, None]
        return self._rehearsal is not None

    def run(
        self,
        inputs: Sequence[torch.Tensor | None],
        loss: Loss,
        *,
        first_pass: bool = True,
        last_pass: bool = True,
        total: torch.Tensor | None = None,
    ) -> torch.Tensor | None:
        """Do one pass: add the gradients of some microbatches.

        Args:
            inputs: Of each microbatch; looked at by the first stage only.
            loss: Asked by the last stage only.
            first_pass: Whether none came before since the last update.
            last_pass: Whether an update follows.
            total: Sum of the losses of earlier passes.

        Returns:
            Sum of the losses, on the rank of the last stage.
        """
        with self._deferral or contextlib.nullcontext():
            for action in self._begun(first_pass=first_pass, last_pass=last_pass):
                if action.work is Work.FORWARD:
                    total = self._forward(action, inputs, loss, total)
                elif action.work is Work.WEIGHTS:
                    self._weights(action)
                else:
                    self._backward(action, last=last_pass and action == self._final[action.stage])
        if self._messages:
            self._messages.finish()
        return total

    def _begun(self, *, first_pass: bool, last_pass: bool) -> Iterator[Action]:
        """What there is to do, as it begins."""
        if self._rehearsal is not None:
            yield from self._rehearsed(self._rehearsal, first_pass=first_pass, last_pass=last_pass)
            return
        for action in self._actions:
            self._let_go()
            yield action
        self._let_go()

    def _rehearsed(self, rehearsal: Rehearsal, *, first_pass: bool, last_pass: bool) -> Iterator[Action]:
        few = {0, 1, *(action.microbatch for action in self._final.values())}
        for action in self._actions:
            part = self._part(action, first_pass=first_pass, last_pass=last_pass)
            rehearsal.parts.append(part)
            if action.microbatch in few:
                self._let_go()
                rehearsal.begins(part)
                yield action
        self._let_go()
        rehearsal.begins(None)
        rehearsal.parts.append(None)

    def _let_go(self) -> None:
        if self._messages:
            self._messages.let_go()

    def _part(self, action: Action, *, first_pass: bool, last_pass: bool) -> Part:
        return Part(
            work=action.work,
            stage=action.stage,
            is_first=action.microbatch == 0,
            is_final=action.microbatch == self._final[action.stage].microbatch,
            first_pass=first_pass,
            last_pass=last_pass,
        )

    def _forward(
        self,
        action: Action,
        inputs: Sequence[torch.Tensor | None],
        loss: Loss,
        total: torch.Tensor | None,
    ) -> torch.Tensor | None:
        number = action.stage
        x = self._received(number - 1, tag=2 * number) if number else inputs[action.microbatch]
        if x is None:
            raise ValueError(f"microbatch {action.microbatch} has no inputs, but the first stage is here")
        if number:
            x.requires_grad_()
        with self._forward_context():
            output = self._stages[number](x)
        if number == self._last:
            output = loss(output, action.microbatch)
            total = output.detach() if total is None else total + output.detach()
        else:
            self._sent(output, number + 1, tag=2 * (number + 1))
        self._flights[number, action.microbatch] = _Flight(x, output)
        return total

    def _backward(self, action: Action, *, last: bool) -> None:
        number = action.stage
        flight = self._flights.pop((number, action.microbatch))
        gradient = None if number == self._last else self._received(number + 1, tag=2 * (number + 1) + 1)
        if gradient is not None:
            gradient = gradient.to(flight.output.dtype)
        self._data.last_pass = last
        if self._deferral:
            self._deferral.key = (number, action.microbatch)
        torch.autograd.backward(flight.output, gradient)
        self._data.let_go()
        if number:
            assert flight.inputs.grad is not None
            self._sent(flight.inputs.grad, number - 1, tag=2 * number + 1)

    def _weights(self, action: Action) -> None:
        assert self._deferral
        self._deferral.run((action.stage, action.microbatch))
        self._data.flush(self._parameters[action.stage])

    def _received(self, stage: int, *, tag: int) -> torch.Tensor:
        assert self._messages
        return self._messages.receive(stage % self._ranks, tag=tag)

    def _sent(self, tensor: torch.Tensor, stage: int, *, tag: int) -> None:
        assert self._messages
        self._messages.send(tensor, stage % self._ranks, tag=tag)
