"""Memory of a thread that it uses again and again: fresh pages cost more than what is computed in them."""

import threading
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_ALIGNMENT = 64
# a thread keeps no more than this; larger requests are rare
_MOST_NBYTES = 64 * 2**20

_thread = threading.local()


def borrowed(*wanted: tuple[int, DTypeLike]) -> list[NDArray[Any]]:
    """Arrays with anything in them, which are this thread's until it borrows again.

    Args:
        wanted: Length and type of each.
    """
    types = [np.dtype(kind) for _, kind in wanted]
    ends = [0]
    for (length, _), kind in zip(wanted, types, strict=True):
        ends.append(ends[-1] + -(-length * kind.itemsize // _ALIGNMENT) * _ALIGNMENT)
    memory = _memory(ends[-1])
    return [
        memory[start : start + length * kind.itemsize].view(kind)
        for start, (length, _), kind in zip(ends, wanted, types, strict=False)
    ]


def _memory(nbytes: int) -> NDArray[np.uint8]:
    kept: NDArray[np.uint8] | None = getattr(_thread, "memory", None)
    if kept is not None and len(kept) >= nbytes:
        return kept
    fresh = np.empty(nbytes, dtype=np.uint8)
    if nbytes <= _MOST_NBYTES:
        _thread.memory = fresh
    return fresh
