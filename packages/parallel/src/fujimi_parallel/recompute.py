"""Recomputation: what the backward pass computes again instead of keeping it."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from fujimi_core.job import Recompute
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
    set_checkpoint_early_stop,
)

aten = torch.ops.aten
#: Operators whose results are kept by selective recomputation: they hold nearly all arithmetic.
KEPT = {
    aten.mm.default,
    aten.addmm.default,
    aten.bmm.default,
    aten.baddbmm.default,
    aten.convolution.default,
    aten._scaled_dot_product_flash_attention_for_cpu.default,
    aten._scaled_dot_product_flash_attention.default,
    aten._scaled_dot_product_efficient_attention.default,
    aten._scaled_dot_product_cudnn_attention.default,
}
Forward = Callable[[torch.Tensor], torch.Tensor]


def recomputed(forward: Forward, how: Recompute) -> Forward:
    """Let what a function keeps for its backward pass be computed again.

    Args:
        forward: Of a block.
        how: ``full`` keeps the inputs only; ``selective`` also results of matrix products, summed over tensor ranks
            where they are, and attention; ``whole`` is ``full``, up to the last operator.

    Source:
        Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016; Korthikanti et al., "Reducing Activation
        Recomputation in Large Transformer Models", MLSys 2023 (which parts are worth keeping).
    """
    if how is Recompute.NONE:
        return forward
    contexts: dict[str, Any] = {}
    if how is Recompute.SELECTIVE:
        contexts = {"context_fn": _contexts}

    def again(x: torch.Tensor) -> torch.Tensor:
        with set_checkpoint_early_stop(how is not Recompute.WHOLE):
            y: torch.Tensor = checkpoint(forward, x, use_reentrant=False, **contexts)
        return y

    return again


class _Thread(threading.local):
    products_are_kept = False


_thread = _Thread()


def products_are_kept() -> bool:
    """Whether a block is computed again whose matrix products are those of the first time, not computed again."""
    return _thread.products_are_kept


def _contexts() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """Entered for the first time and the second."""
    first, second = create_selective_checkpoint_contexts(_policy)
    return first, _again(second)


@contextlib.contextmanager
def _again(second: AbstractContextManager[Any]) -> Iterator[None]:
    before, _thread.products_are_kept = _thread.products_are_kept, True
    try:
        with second:
            yield
    finally:
        _thread.products_are_kept = before


def _policy(_context: Any, func: Any, *_args: Any, **_kwargs: Any) -> CheckpointPolicy:
    return CheckpointPolicy.MUST_SAVE if func in KEPT else CheckpointPolicy.PREFER_RECOMPUTE
