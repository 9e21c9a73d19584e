"""FLOPs of operators: torch's own formulas, and those it lacks."""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten
Shape = tuple[int, ...]


def attention_forward_flops(query: Shape, key: Shape, value: Shape) -> int:
    """Two matrix products, ``2·b·h·s·t·(d + d_v)``.

    Args:
        query: Shape (b, h, s, d).
        key: Shape (b, h, t, d).
        value: Shape (b, h, t, d_v).

    Source:
        Dao et al., "FlashAttention", NeurIPS 2022, section 3.1.
    """
    batch, heads, queries, extent = query
    return 2 * batch * heads * queries * key[2] * (extent + value[3])


def attention_backward_flops(query: Shape, key: Shape, value: Shape) -> int:
    """Five matrix products, ``2·b·h·s·t·(3·d + 2·d_v)``: scores again, and the gradients of four factors.

    Source:
        Dao et al., "FlashAttention", NeurIPS 2022, appendix B.2.
    """
    batch, heads, queries, extent = query
    return 2 * batch * heads * queries * key[2] * (3 * extent + 2 * value[3])


# torch 2.13 knows the attention of GPUs only
_MISSING: dict[Any, Callable[..., int]] = {
    aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_: attention_forward_flops(
        q.shape, k.shape, v.shape
    ),
    aten._scaled_dot_product_flash_attention_for_cpu_backward: lambda _, q, k, v, *__: attention_backward_flops(
        q.shape, k.shape, v.shape
    ),
}


def flops(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int:
    """Floating-point operations of one call: those of its matrix products; other operators count as 0.

    Args:
        func: Operator, for example ``torch.ops.aten.mm.default``.
        args: What it was called with.
        kwargs: What it was called with, by name.
        out: What it returned.
    """
    packet = func._overloadpacket
    if packet in _MISSING:
        return _MISSING[packet](*args)
    formula = flop_registry.get(packet)
    return int(formula(*args, **kwargs, out_val=out)) if formula else 0
