"""Runs microbatches through the stages of a rank, forward and backward, in the order of a schedule."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
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

    def run(self, inputs: Sequence[torch.Tensor | None], loss: Loss, *, last_pass: bool) -> torch.Tensor | None:
        """Do one pass: add the gradients of some microbatches.

        Args:
            inputs: Of each microbatch; looked at by the first stage only.
            loss: Asked by the last stage only.
            last_pass: Whether an update follows.

        Returns:
            Sum of the losses, on the rank of the last stage.
        """
        losses: list[torch.Tensor] = []
        with self._deferral or contextlib.nullcontext():
            for action in self._actions:
                if action.work is Work.FORWARD:
                    self._forward(action, inputs, loss, losses)
                elif action.work is Work.WEIGHTS:
                    self._weights(action)
                else:
                    self._backward(action, last=last_pass and action == self._final[action.stage])
        if self._messages:
            self._messages.finish()
        return torch.stack(losses).sum() if losses else None

    def _forward(
        self, action: Action, inputs: Sequence[torch.Tensor | None], loss: Loss, losses: list[torch.Tensor]
    ) -> None:
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
            losses.append(output.detach())
        else:
            self._sent(output, number + 1, tag=2 * (number + 1))
        self._flights[number, action.microbatch] = _Flight(x, output)

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
