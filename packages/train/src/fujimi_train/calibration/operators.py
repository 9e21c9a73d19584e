"""Operators that are timed, each with the kernel that a capture would make of it.

Shapes: m rows, k sums, n columns of products; B samples, H heads, T tokens, W width of a head.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from fujimi_core.workload import Kernel
from fujimi_parallel.capture.recorder import Recorder

aten = torch.ops.aten

#: Squares, and layers of small transformers: (m, k, n).
PRODUCTS = (
    (32, 32, 32),
    (64, 64, 64),
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
_SMALLEST, _LARGEST = 2**14, 2**25


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """Something to time.

    Args:
        kernel: What a capture writes down.
        call: Does it once.
    """

    kernel: Kernel
    call: Callable[[], object]


def recorded(call: Callable[[], object]) -> Operator:
    """An operator with what a capture says of it."""
    with Recorder() as recorder:
        call()
    (kernel,) = (event for event in recorder.events if isinstance(event, Kernel))
    return Operator(kernel=kernel, call=call)


def smallest() -> Callable[[], object]:
    """A call that does as good as nothing."""
    x = torch.ones(1)
    return lambda: x.add_(0.0)


def products(dtype: torch.dtype) -> Iterator[Operator]:
    """Layers forward, and the gradients of their weights."""
    for m, k, n in PRODUCTS:
        x, weight, bias = (torch.randn(shape).to(dtype) for shape in ((m, k), (n, k), (n,)))
        gradient = torch.randn(m, n).to(dtype)
        yield recorded(lambda x=x, weight=weight, bias=bias: torch.addmm(bias, x, weight.t()))  # type: ignore[misc]
        yield recorded(lambda x=x, gradient=gradient: torch.mm(gradient.t(), x))  # type: ignore[misc]


def additions() -> Iterator[Operator]:
    """Sums of two tensors, from what any cache holds to what none does."""
    numel = _SMALLEST
    while numel <= _LARGEST:
        x, y = torch.ones(numel), torch.ones(numel)
        yield recorded(lambda x=x, y=y: x.add_(y))  # type: ignore[misc]
        numel *= 2


def elementwise(dtype: torch.dtype) -> Iterator[Operator]:
    """Operators of a network that compute more than they move."""
    x, gradient = (torch.randn(_ROWS, _WIDTH).to(dtype) for _ in range(2))
    weight = torch.ones(_WIDTH).to(dtype)
    for kind in ("none", "tanh"):
        yield recorded(lambda kind=kind: F.gelu(x, approximate=kind))  # type: ignore[misc]
        yield recorded(lambda kind=kind: aten.gelu_backward(gradient, x, approximate=kind))  # type: ignore[misc]
    _, mean, deviation = aten.native_layer_norm(x, [_WIDTH], weight, weight, 1e-5)
    every = [True, True, True]
    yield recorded(lambda: aten.native_layer_norm(x, [_WIDTH], weight, weight, 1e-5))
    yield recorded(
        lambda: aten.native_layer_norm_backward(gradient, x, [_WIDTH], mean, deviation, weight, weight, every)
    )
    logits, d_logits = (torch.randn(_ROWS, _CLASSES) for _ in range(2))
    for forward, backward in (
        (aten._log_softmax, aten._log_softmax_backward_data),
        (aten._softmax, aten._softmax_backward_data),
    ):
        shares = forward(logits, 1, False)
        yield recorded(lambda forward=forward: forward(logits, 1, False))
        yield recorded(
            lambda backward=backward, shares=shares: backward(d_logits, shares, 1, torch.float32)  # type: ignore[misc]
        )


def attention(dtype: torch.dtype) -> Iterator[Operator]:
    """Attention in one operator, forward and backward."""
    forward = aten._scaled_dot_product_flash_attention_for_cpu
    backward = aten._scaled_dot_product_flash_attention_for_cpu_backward
    for shape, causal in ATTENTION:
        query, key, value, gradient = (torch.randn(shape).to(dtype) for _ in range(4))
        out, sums = forward(query, key, value, 0.0, causal)
        tensors = (gradient, query, key, value, out, sums)
        yield recorded(
            lambda q=query, k=key, v=value, causal=causal: forward(q, k, v, 0.0, causal)  # type: ignore[misc]
        )
        yield recorded(lambda tensors=tensors, causal=causal: backward(*tensors, 0.0, causal))  # type: ignore[misc]
