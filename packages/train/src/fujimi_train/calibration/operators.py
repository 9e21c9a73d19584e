"""Operators that are timed, each with the kernel that a capture would make of it.

Shapes: m rows, k sums, n columns of products; B samples, H heads, T tokens, W width of a head.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from fujimi_core.workload import Kernel
from fujimi_parallel.capture.recorder import Recorder

aten = torch.ops.aten

#: Squares, and layers of small transformers: (m, k, n).
PRODUCTS = (
    (128, 128, 128),
    (256, 256, 256),
    (512, 512, 512),
    (1024, 192, 576),
    (1024, 192, 768),
    (1024, 768, 192),
    (1024, 256, 1024),
    (512, 1024, 1024),
)
#: (B, H, T, W), and whether a token sees earlier ones only.
ATTENTION = (
    ((32, 3, 17, 64), False),
    ((8, 4, 64, 64), True),
    ((8, 4, 128, 64), True),
    ((2, 4, 256, 64), True),
    ((2, 4, 196, 64), False),
)
_ROWS, _WIDTH, _CLASSES = 1024, 512, 1024
#: Of one tensor of three, in float32.
_SMALLEST, _LARGEST = 2**17, 2**25


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Something to time.

    Args:
        kernel: What a capture writes down.
        call: Does it once.
        is_kept: Whether a step keeps the result for a while, as it does forward. The next one then needs new memory,
            which the system has to hand out and to take back.
    """

    kernel: Kernel
    call: Callable[[], object]
    is_kept: bool = False


def recorded(call: Callable[[], object], *, is_kept: bool = False) -> Operator:
    """An operator with what a capture says of it."""
    with Recorder() as recorder:
        call()
    (kernel,) = (event for event in recorder.events if isinstance(event, Kernel))
    return Operator(kernel=kernel, call=call, is_kept=is_kept)


def smallest() -> Callable[[], object]:
    """A call that does as good as nothing."""
    x = torch.ones(1)
    return partial(x.add_, 0.0)


def products(dtype: torch.dtype) -> Iterator[Operator]:
    """Layers forward, and the gradients of their inputs and weights."""
    for m, k, n in PRODUCTS:
        x, weight, bias = (torch.randn(shape).to(dtype) for shape in ((m, k), (n, k), (n,)))
        gradient = torch.randn(m, n).to(dtype)
        yield recorded(partial(torch.addmm, bias, x, weight.t()), is_kept=True)
        yield recorded(partial(torch.mm, gradient, weight))
        yield recorded(partial(torch.mm, gradient.t(), x))


def additions() -> Iterator[Operator]:
    """Sums of two tensors, from what any cache holds to what none does."""
    numel = _SMALLEST
    while numel <= _LARGEST:
        yield recorded(partial(torch.ones(numel).add_, torch.ones(numel)))
        numel *= 2


def elementwise(dtype: torch.dtype) -> Iterator[Operator]:
    """Operators of a network that compute more than they move."""
    x, gradient = (torch.randn(_ROWS, _WIDTH).to(dtype) for _ in range(2))
    weight = torch.ones(_WIDTH).to(dtype)
    for kind in ("none", "tanh"):
        yield recorded(partial(F.gelu, x, approximate=kind), is_kept=True)
        yield recorded(partial(aten.gelu_backward, gradient, x, approximate=kind))
    _, mean, deviation = aten.native_layer_norm(x, [_WIDTH], weight, weight, 1e-5)
    moments = (mean, deviation, weight, weight, [True, True, True])
    yield recorded(partial(aten.native_layer_norm, x, [_WIDTH], weight, weight, 1e-5), is_kept=True)
    yield recorded(partial(aten.native_layer_norm_backward, gradient, x, [_WIDTH], *moments))
    yield recorded(partial(torch.sum, x, 0))
    logits, d_shares = (torch.randn(_ROWS, _CLASSES) for _ in range(2))
    for forward, backward in (
        (aten._log_softmax, aten._log_softmax_backward_data),
        (aten._softmax, aten._softmax_backward_data),
    ):
        yield recorded(partial(forward, logits, 1, False), is_kept=True)
        yield recorded(partial(backward, d_shares, forward(logits, 1, False), 1, torch.float32))


def attention(dtype: torch.dtype) -> Iterator[Operator]:
    """Attention in one operator, forward and backward."""
    forward = aten._scaled_dot_product_flash_attention_for_cpu
    backward = aten._scaled_dot_product_flash_attention_for_cpu_backward
    for shape, is_causal in ATTENTION:
        query, key, value, gradient = (torch.randn(shape).to(dtype) for _ in range(4))
        out, sums = forward(query, key, value, 0.0, is_causal)
        yield recorded(partial(forward, query, key, value, 0.0, is_causal), is_kept=True)
        yield recorded(partial(backward, gradient, query, key, value, out, sums, 0.0, is_causal))
