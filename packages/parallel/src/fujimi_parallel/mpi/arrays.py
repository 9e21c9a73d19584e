"""Memory of tensors as flat arrays, which MPI and numpy read and write."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mpi4py import MPI
from numpy.typing import DTypeLike, NDArray

Array = NDArray[np.generic]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)  # each is itself; found quickly in a cache
class Numbers:
    """How numbers of one dtype are stored and summed.

    Args:
        stored: As what numpy sees them.
        summed: As what they are summed.
        half: The dtype if numpy cannot sum it: it is stored as bit patterns.
    """

    stored: np.dtype[np.generic]
    summed: np.dtype[np.generic]
    half: torch.dtype | None = None


def _plain(kind: DTypeLike) -> Numbers:
    return Numbers(stored=np.dtype(kind), summed=np.dtype(kind))


def _half(dtype: torch.dtype) -> Numbers:
    return Numbers(stored=np.dtype(np.uint16), summed=np.dtype(np.float32), half=dtype)


_NUMBERS = {
    torch.float32: _plain(np.float32),
    torch.float64: _plain(np.float64),
    torch.float16: _half(torch.float16),
    torch.bfloat16: _half(torch.bfloat16),
    torch.int8: _plain(np.int8),
    torch.int16: _plain(np.int16),
    torch.int32: _plain(np.int32),
    torch.int64: _plain(np.int64),
    torch.uint8: _plain(np.uint8),
    torch.uint16: _plain(np.uint16),
    torch.uint32: _plain(np.uint32),
    torch.uint64: _plain(np.uint64),
    torch.bool: _plain(np.bool_),
}
BYTES = _plain(np.uint8)


def numbers_of(dtype: torch.dtype) -> Numbers:
    """How a dtype is stored and summed.

    Raises:
        TypeError: If it cannot be summed.
    """
    numbers = _NUMBERS.get(dtype)
    if numbers is None:
        known = ", ".join(map(str, _NUMBERS))
        raise TypeError(f"{dtype} cannot be reduced over ranks; convert the tensor to one of {known}")
    return numbers


def memory(tensor: torch.Tensor, numbers: Numbers = BYTES) -> Array:
    """The memory of a contiguous tensor, which must outlive the array.

    By its address, because ``Tensor.numpy`` is an operation that autograd, inference mode and dispatch modes see.
    """
    if not tensor.is_cpu:
        raise TypeError(
            f"the backend 'mpi' moves tensors of the device 'cpu', got one of {str(tensor.device)!r}; use 'nccl'"
        )
    if not tensor.numel():
        return np.empty(0, numbers.stored)
    flat: Any = MPI.buffer.fromaddress(tensor.data_ptr(), tensor.nbytes)
    array: Array = np.frombuffer(flat, numbers.stored)
    return array


def parts(array: Array, count: int, rows: Sequence[int] | None = None) -> list[Array]:
    """Cut an array into parts of equal length, or of so many rows each."""
    rows = rows or [1] * count
    row = len(array) // max(1, sum(rows))
    ends = list(itertools.accumulate(rows, initial=0))
    return [array[row * start : row * end] for start, end in itertools.pairwise(ends)]


def source(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor itself if it is contiguous, else a copy that is."""
    return tensor if tensor.is_contiguous() else tensor.detach().contiguous()


def target(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor itself if it is contiguous, else a place for what is to be copied back into it."""
    return tensor if tensor.is_contiguous() else torch.empty(tensor.shape, dtype=tensor.dtype)


def back(places: Sequence[torch.Tensor], tensors: Sequence[torch.Tensor]) -> None:
    """Copy each `target` back to its tensor."""
    for place, tensor in zip(places, tensors, strict=True):
        if place is not tensor:
            with torch.inference_mode(tensor.is_inference()):  # in the thread of a queue too
                tensor.detach().copy_(place)
