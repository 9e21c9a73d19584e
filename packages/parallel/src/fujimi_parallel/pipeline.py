"""Runs microbatches through the stages of a rank, forward and backward, in the order of a schedule."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

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
        chunk: Which of the rank's stages, from 0.
        is_first: Whether it is the first microbatch of its pass.
        is_final: Whether it is the last.
        first_pass: Whether no pass came before since the last update.
        last_pass: Whether an update follows the pass.
    """

    work: Work
    chunk: int
    is_first: bool
    is_final: bool
    first_pass: bool
    last_pass: bool


#: Told of each part when it begins, and None when a pass is over.
Begins = Callable[[Part | None], None]


def parts_of(actions: Sequence[Action], *, ranks: int, passes: int) -> list[Part | None]:
    """All that a rank does with microbatches between two updates; None after each pass.

    Args:
        actions: Of one pass, in order.
        ranks: Of the pipeline.
        passes: How many.
    """
    final = _final(actions)

    def part(action: Action, number: int) -> Part:
        return Part(
            work=action.work,
            chunk=action.stage // ranks,
            is_first=action.microbatch == 0,
            is_final=action.microbatch == final[action.stage].microbatch,
            first_pass=number == 0,
            last_pass=number == passes - 1,
        )

    return [each for number in range(passes) for each in [*(part(action, number) for action in actions), None]]


def _final(actions: Sequence[Action]) -> dict[int, Action]:
    """By stage, the last action that makes gradients."""
    return {action.stage: action for action in actions if action.work in (Work.BACKWARD, Work.INPUTS)}


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
        self._final = _final(actions)
        self._begins: Begins | None = None

    def rehearse(self, begins: Begins) -> None:
        """From now on do each kind of part a few times only: enough to know what all of them would do.

        Args:
            begins: Told of each part that is done.
        """
        self._begins = begins

    @property
    def rehearsed(self) -> bool:
        """Whether this is a rehearsal."""
        return self._begins is not None

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
        if self._begins is not None:
            yield from self._rehearsal(self._begins, first_pass=first_pass, last_pass=last_pass)
            return
        for action in self._actions:
            self._let_go()
            yield action
        self._let_go()

    def _rehearsal(self, begins: Begins, *, first_pass: bool, last_pass: bool) -> Iterator[Action]:
        few = {0, 1, *(action.microbatch for action in self._final.values())}
        parts = parts_of(self._actions, ranks=self._ranks, passes=1)
        for action, part in zip(self._actions, parts, strict=False):
            if part is not None and action.microbatch in few:
                self._let_go()
                begins(replace(part, first_pass=first_pass, last_pass=last_pass))
                yield action
        self._let_go()
        begins(None)

    def _let_go(self) -> None:
        if self._messages:
            self._messages.let_go()

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
