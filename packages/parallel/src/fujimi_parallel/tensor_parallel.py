"""Tensor parallelism: the ranks of a group share each layer.

A layer whose outputs are shared takes inputs that are the same on all ranks; their gradient is summed. A layer whose
inputs are shared sums its outputs. Between the two nothing is sent.

Source:
    Shoeybi et al., "Megatron-LM", 2019, section 3 (the operators f and g).
"""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from fujimi_core.offers import Style
from torch import nn

from fujimi_parallel.recompute import products_are_kept

#: Dimension of a weight that a style shares; a bias is shared along its only one, or not at all.
_WEIGHT_DIM = {Style.COLUMN: 0, Style.ROW: 1, Style.VOCABULARY: 0}
_KINDS: dict[Style, type[nn.Module]] = {
    Style.COLUMN: nn.Linear,
    Style.ROW: nn.Linear,
    Style.VOCABULARY: nn.Embedding,
}


def share(module: nn.Module, style: Style, group: dist.ProcessGroup, *, name: str) -> dict[str, tuple[int, int, int]]:
    """Leave a rank its part of a layer's parameters, and let it work with the others.

    Args:
        module: Has its whole parameters; afterwards only those of this rank.
        style: How it is shared.
        group: By whom.
        name: Of the layer, for messages.

    Returns:
        Dim along which each shared parameter is cut, and its first and last index, by the parameter's name.

    Raises:
        ValueError: If the layer is of another kind, or does not divide.
    """
    if not isinstance(module, _KINDS[style]):
        raise ValueError(f"{name} is a {type(module).__name__}; style {style.value} is for {_KINDS[style].__name__}")
    cuts = {}
    for own_name, parameter in list(module.named_parameters(recurse=False)):
        if style is Style.ROW and own_name == "bias":
            continue
        dim = _WEIGHT_DIM[style]
        start, stop = _part(parameter.shape[dim], group, f"{name}.{own_name}")
        part = parameter.detach().narrow(dim, start, stop - start).clone()
        setattr(module, own_name, nn.Parameter(part, requires_grad=parameter.requires_grad))
        cuts[own_name] = (dim, start, stop)
    forward = {Style.COLUMN: _column, Style.ROW: _row, Style.VOCABULARY: _vocabulary}[style]
    module.forward = forward(module, group)
    return cuts


def _part(extent: int, group: dist.ProcessGroup, name: str) -> tuple[int, int]:
    if extent % group.size():
        raise ValueError(f"{name} has extent {extent}, which {group.size()} ranks cannot share evenly")
    length = extent // group.size()
    return group.rank() * length, (group.rank() + 1) * length


def _column(module: nn.Module, group: dist.ProcessGroup) -> Any:
    whole = module.forward
    return lambda x: whole(same_for_all(x, group))


def _row(module: nn.Module, group: dist.ProcessGroup) -> Any:
    assert isinstance(module, nn.Linear)

    def forward(x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = _SummedProduct.apply(F.linear(x, module.weight), group)  # type: ignore[no-untyped-call]
        return y if module.bias is None else y + module.bias

    return forward


def _vocabulary(module: nn.Module, group: dist.ProcessGroup) -> Any:
    assert isinstance(module, nn.Embedding)
    words = module.weight.shape[0]
    first = group.rank() * words

    def forward(tokens: torch.Tensor) -> torch.Tensor:
        mine = (tokens >= first) & (tokens < first + words)
        found = F.embedding((tokens - first) * mine, module.weight)
        return summed(found * mine.unsqueeze(-1), group)

    return forward


def same_for_all(x: torch.Tensor, group: dist.ProcessGroup) -> torch.Tensor:
    """A tensor that is the same on all ranks of the group, each of which uses it for its own part.

    What uses it makes its gradient anew, as a linear layer does: it is summed in place.
    """
    y: torch.Tensor = _SameForAll.apply(x, group)  # type: ignore[no-untyped-call] # torch leaves it untyped
    return y


def summed(x: torch.Tensor, group: dist.ProcessGroup) -> torch.Tensor:
    """Sum over the ranks of the group, each of which uses all of it alike."""
    y: torch.Tensor = _Summed.apply(x, group)  # type: ignore[no-untyped-call] # torch leaves it untyped
    return y


class _SameForAll(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, group: dist.ProcessGroup) -> torch.Tensor:
        ctx.group = group
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        gradient = gradient.contiguous()
        dist.all_reduce(gradient, group=ctx.group)
        return gradient, None


class _Summed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, group: dist.ProcessGroup) -> torch.Tensor:
        return _all_reduced(x, group)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient, None


class _SummedProduct(torch.autograd.Function):
    """Sum of matrix products of which nobody else has any use: in their place, and of those that were kept, once."""

    @staticmethod
    def forward(ctx: Any, product: torch.Tensor, group: dist.ProcessGroup) -> torch.Tensor:
        if not product.is_contiguous():
            return _all_reduced(product, group)
        if not products_are_kept():
            dist.all_reduce(product.data, group=group)  # what selective recomputation keeps may not seem changed
        return product.view_as(product)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        return gradient, None


def _all_reduced(x: torch.Tensor, group: dist.ProcessGroup) -> torch.Tensor:
    y = x.contiguous().clone() if x.is_contiguous() else x.contiguous()
    dist.all_reduce(y, group=group)
    return y
