"""Weight gradients that are computed later than the gradients that other ranks wait for."""

from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


class Deferral:
    """While entered, linear layers leave the gradients of their parameters to `run`.

    To be entered for forward and backward pass, as the latter may compute again what checkpointing left out. Layers
    must call ``linear`` as an attribute of ``torch.nn.functional``, as torch's own do.

    Source:
        Qi et al., "Zero Bubble Pipeline Parallelism", ICLR 2024, section 2 (the backward pass in two).
    """

    def __init__(self) -> None:
        self.key: Hashable = None  # of what is left from now on
        self._left: dict[Hashable, list[tuple[_Layer, torch.Tensor, torch.Tensor]]] = defaultdict(list)

    def __enter__(self) -> "Deferral":
        """Begin to stand for torch's linear layer."""
        self._linear = F.linear
        setattr(F, "linear", self._by_halves)  # noqa: B010 - a function that mypy guards
        return self

    def __exit__(self, *exception: object) -> None:
        """Stop."""
        setattr(F, "linear", self._linear)  # noqa: B010 - as above

    @torch.no_grad()
    def run(self, key: Hashable) -> None:
        """Compute what was left under a key."""
        for layer, x, gradient in self._left.pop(key, ()):
            layer.accumulate(x, gradient)

    def leave(self, layer: "_Layer", x: torch.Tensor, gradient: torch.Tensor) -> None:
        """Keep what the gradients of a layer are made of: its inputs, and the gradient of its outputs."""
        self._left[self.key].append((layer, x, gradient))

    def product(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Torch's own linear layer."""
        return self._linear(x, weight, bias)

    def _by_halves(self, x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None = None) -> Any:
        if not torch.is_grad_enabled() or not isinstance(weight, nn.Parameter) or not weight.requires_grad:
            return self._linear(x, weight, bias)
        if torch.is_autocast_enabled(x.device.type):
            x = x.to(torch.get_autocast_dtype(x.device.type))
        if not x.requires_grad:
            x = x.detach().requires_grad_()  # else there would be no backward pass to leave anything in
        return _Linear.apply(x, _Layer(weight, bias), self)  # type: ignore[no-untyped-call] # torch leaves it untyped


@dataclass(frozen=True, slots=True)
class _Layer:
    """Parameters of one linear layer, out of autograd's sight."""

    weight: nn.Parameter
    bias: torch.Tensor | None

    def accumulate(self, x: torch.Tensor, gradient: torch.Tensor) -> None:
        x, gradient = x.flatten(0, -2), gradient.flatten(0, -2)
        _add(self.weight, gradient.t() @ x)
        if isinstance(self.bias, nn.Parameter):
            _add(self.bias, gradient.sum(0))


def _add(parameter: nn.Parameter, gradient: torch.Tensor) -> None:
    gradient = gradient.to(parameter.dtype)
    if parameter.grad is None:
        parameter.grad = gradient
    else:
        parameter.grad += gradient


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, layer: _Layer, deferral: Deferral) -> torch.Tensor:
        ctx.save_for_backward(x)
        ctx.layer, ctx.deferral = layer, deferral
        weight, bias = layer.weight.detach().to(x.dtype), layer.bias
        return deferral.product(x, weight, None if bias is None else bias.detach().to(x.dtype))

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (x,) = ctx.saved_tensors
        ctx.deferral.leave(ctx.layer, x, gradient)
        return gradient @ ctx.layer.weight.detach().to(gradient.dtype), None, None
