"""How far training came by some time, without taking its steps one by one.

A checkpoint stops training while ranks copy what they hold; it is whole when that has been written, behind the steps
that follow. The next one waits for it. So checkpoints follow each other in equal periods, and where training is at any
time is arithmetic.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast training goes.

    Args:
        steps: At which it ends.
        step_s: One step.
        every: Steps between checkpoints; 0 for one at the end only.
        copy_s: For which training stops at a checkpoint.
        write_s: From then until the checkpoint is whole.
    """

    steps: int
    step_s: float
    every: int
    copy_s: float
    write_s: float

    @property
    def period_s(self) -> float:
        """From one checkpoint to the next."""
        return self.copy_s + max(self.every * self.step_s, self.write_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trained:
    """What one try at training came to.

    Args:
        saved: Steps done at the newest checkpoint that is whole.
        elapsed_s: Of the try.
        checkpoint_s: Training stood still for checkpoints that became whole.
        lost_s: Spent on what no checkpoint holds.
    """

    saved: int
    elapsed_s: float
    checkpoint_s: float
    lost_s: float


def finished(pace: Pace, first: int) -> Trained:
    """Train to the end, undisturbed; the last checkpoint is waited for.

    Args:
        pace: How fast.
        first: Steps that were done before.
    """
    count = _saves(pace, first)
    if count and _step(pace, first, count - 1) == pace.steps:
        return _all_saved(pace, first, pace.steps, _whole_s(pace, first, count - 1))
    return _all_saved(pace, first, pace.steps, _saved_s(pace, first, count - 1, pace.steps))


def failed(pace: Pace, first: int, after_s: float) -> Trained:
    """Train until something fails.

    Args:
        pace: How fast.
        first: Steps that were done before.
        after_s: When it fails; before the end.
    """
    count = _saves(pace, first)
    whole = 0
    if count and after_s >= _whole_s(pace, first, 0):
        whole = min(count, math.floor((after_s - _whole_s(pace, first, 0)) / pace.period_s) + 1)
    saved = _step(pace, first, whole - 1) if whole else first
    waited_s = pace.period_s - pace.copy_s - pace.every * pace.step_s
    checkpoint_s = whole * pace.copy_s + max(whole - 1, 0) * waited_s
    lost_s = after_s - (saved - first) * pace.step_s - checkpoint_s
    return Trained(saved=saved, elapsed_s=after_s, checkpoint_s=checkpoint_s, lost_s=lost_s)


def warned(pace: Pace, first: int, after_s: float) -> Trained:
    """Train until a warning; the step that is under way, or else the next, is finished and saved.

    Args:
        pace: How fast.
        first: Steps that were done before.
        after_s: When the warning comes.
    """
    count = _saves(pace, first)
    last = -1  # checkpoint that was begun last before the warning
    if count and after_s >= _begin_s(pace, first, 0):
        last = min(count - 1, math.floor((after_s - _begin_s(pace, first, 0)) / pace.period_s))
    behind = after_s - _resumed_s(pace, first, last)
    done = _step(pace, first, last) + max(0, math.floor(behind / pace.step_s)) + 1
    if last + 1 < count and done > _step(pace, first, last + 1):  # it waits for the last one to be written
        last += 1
        done = _step(pace, first, last) + 1
    if done >= pace.steps:
        return finished(pace, first)
    return _all_saved(pace, first, done, _saved_s(pace, first, last, done))


def _all_saved(pace: Pace, first: int, saved: int, elapsed_s: float) -> Trained:
    checkpoint_s = elapsed_s - (saved - first) * pace.step_s
    return Trained(saved=saved, elapsed_s=elapsed_s, checkpoint_s=checkpoint_s, lost_s=0.0)


def _saves(pace: Pace, first: int) -> int:
    """Checkpoints at multiples of ``every`` on the way to the end."""
    return pace.steps // pace.every - first // pace.every if pace.every else 0


def _step(pace: Pace, first: int, index: int) -> int:
    """Steps done at a checkpoint; at index -1, where the try began."""
    return (first // pace.every + 1 + index) * pace.every if index >= 0 else first


def _begin_s(pace: Pace, first: int, index: int) -> float:
    return (_step(pace, first, 0) - first) * pace.step_s + index * pace.period_s


def _whole_s(pace: Pace, first: int, index: int) -> float:
    return _begin_s(pace, first, index) + pace.copy_s + pace.write_s


def _resumed_s(pace: Pace, first: int, index: int) -> float:
    """When steps go on after a checkpoint."""
    return _begin_s(pace, first, index) + pace.copy_s if index >= 0 else 0.0


def _saved_s(pace: Pace, first: int, last: int, done: int) -> float:
    """When a checkpoint of so many steps, out of turn, is whole; ``last`` is the one before it."""
    reached_s = _resumed_s(pace, first, last) + (done - _step(pace, first, last)) * pace.step_s
    free_s = _whole_s(pace, first, last) if last >= 0 else 0.0
    return max(reached_s, free_s) + pace.copy_s + pace.write_s
