"""Sums, means, extremes and products over ranks, always in the order of ranks."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mpi4py import MPI
from torch.distributed import ReduceOp

from fujimi_parallel.mpi.arrays import Array, Numbers, numbers_of

#: Elements that are widened and summed at once: they stay in the first-level cache, and torch starts no threads for
#: so few.
_HALF_BLOCK = 8_192


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """How numbers of several ranks become one.

    Args:
        two: Combines two arrays; of truth values, sums are "or" and products "and".
        between_nodes: The same for MPI.
        of_truth_values: The same for MPI where they are truth values.
        mean: Whether the sum is divided by the number of ranks.
    """

    two: np.ufunc
    between_nodes: MPI.Op
    of_truth_values: MPI.Op
    mean: bool = False


_KINDS: Any = ReduceOp.RedOpType
_REDUCTIONS = {
    _KINDS.SUM: Reduction(two=np.add, between_nodes=MPI.SUM, of_truth_values=MPI.LOR),
    _KINDS.AVG: Reduction(two=np.add, between_nodes=MPI.SUM, of_truth_values=MPI.LOR, mean=True),
    _KINDS.PRODUCT: Reduction(two=np.multiply, between_nodes=MPI.PROD, of_truth_values=MPI.LAND),
    _KINDS.MIN: Reduction(two=np.minimum, between_nodes=MPI.MIN, of_truth_values=MPI.LAND),
    _KINDS.MAX: Reduction(two=np.maximum, between_nodes=MPI.MAX, of_truth_values=MPI.LOR),
    _KINDS.BAND: Reduction(two=np.bitwise_and, between_nodes=MPI.BAND, of_truth_values=MPI.LAND),
    _KINDS.BOR: Reduction(two=np.bitwise_or, between_nodes=MPI.BOR, of_truth_values=MPI.LOR),
    _KINDS.BXOR: Reduction(two=np.bitwise_xor, between_nodes=MPI.BXOR, of_truth_values=MPI.LXOR),
}


@functools.cache
def reduction_of(kind: Any, numbers: Numbers) -> Reduction:
    """The reduction that torch asks for.

    Raises:
        ValueError: If this backend does not have it.
        TypeError: If it does not go with the numbers.
    """
    if kind not in _REDUCTIONS:
        known = ", ".join(each.name for each in _REDUCTIONS)
        raise ValueError(f"the backend 'mpi' has no reduction {kind}; it has {known}")
    reduction = _REDUCTIONS[kind]
    if reduction.mean and numbers.summed.kind == "b":
        raise TypeError("truth values have no mean; convert the tensor to numbers, or use SUM, which is 'or'")
    if reduction.two in (np.bitwise_and, np.bitwise_or, np.bitwise_xor) and numbers.summed.kind == "f":
        raise TypeError(f"{kind.name} is of bits; convert the tensor to integers")
    return reduction


class Combination:
    """Makes one array of those of all ranks, in the order of ranks; one for each call of a collective.

    Args:
        op: What torch asks for.
        dtype: Of the tensors.
        ranks: Of the group, by which a mean is divided.
    """

    def __init__(self, op: Any, dtype: torch.dtype, ranks: int) -> None:
        self.numbers = numbers_of(dtype)
        self.reduction = reduction_of(getattr(op, "op", op), self.numbers)
        self._ranks = ranks
        self._scratch: Array | None = None

    def whole(self, parts: Sequence[Array], out: Array) -> None:
        """Combine the arrays of all ranks; ``out`` may be one of them."""
        if self.numbers.half is not None:
            sums = self._scratch_of(len(out))
            self.partial(parts, sums)
            self.finish(sums, out)
            return
        self.partial(parts, out)
        if self.reduction.mean:
            _divide(out, self._ranks)

    def partial(self, parts: Sequence[Array], sums: Array) -> None:
        """Combine the arrays of some ranks, ``((x0 + x1) + x2) + ...``, without the division of a mean.

        Float16 and bfloat16 become float32, which nothing rounds before `finish`.
        """
        if self.numbers.half is None:
            self._fold(parts, sums)
        else:
            self._fold_halves(parts, sums, self.numbers.half)

    def finish(self, sums: Array, out: Array) -> None:
        """Divide complete sums for a mean, and round them as they are stored."""
        if self.reduction.mean:
            _divide(sums, self._ranks)
        if self.numbers.half is None:
            np.copyto(out, sums)
        else:
            _narrow(sums, out, self.numbers.half)

    @property
    def between_nodes(self) -> MPI.Op:
        """What MPI does with partial results."""
        truth = self.numbers.summed.kind == "b"
        return self.reduction.of_truth_values if truth else self.reduction.between_nodes

    def _fold(self, parts: Sequence[Array], out: Array) -> None:
        if len(parts) == 1:
            np.copyto(out, parts[0])
            return
        so_far = parts[0]
        for part in parts[1:-1]:  # not in ``out``, which may be a part that is still to come
            so_far = self.reduction.two(so_far, part, out=self._scratch_of(len(out)))
        self.reduction.two(so_far, parts[-1], out=out)

    def _fold_halves(self, parts: Sequence[Array], out: Array, half: torch.dtype) -> None:
        for start in range(0, len(out), _HALF_BLOCK):
            some = slice(start, start + _HALF_BLOCK)
            np.copyto(out[some], _widened(parts[0][some], half))
            for part in parts[1:]:
                self.reduction.two(out[some], _widened(part[some], half), out=out[some])

    def _scratch_of(self, length: int) -> Array:
        if self._scratch is None or len(self._scratch) < length:
            self._scratch = np.empty(length, self.numbers.summed)
        return self._scratch[:length]


def _widened(bits: Array, half: torch.dtype) -> Array:
    with torch._C._DisableTorchDispatch():  # who records the caller's operations need not see these
        wide: Array = torch.from_numpy(bits).view(half).float().numpy()
        return wide


def _narrow(wide: Array, out: Array, half: torch.dtype) -> None:
    for start in range(0, len(out), _HALF_BLOCK):
        some = slice(start, start + _HALF_BLOCK)
        with torch._C._DisableTorchDispatch():
            np.copyto(out[some], torch.from_numpy(wide[some]).to(half).view(torch.uint16).numpy())


def _divide(sums: Array, ranks: int) -> None:
    """Turn sums into means; of integers towards zero."""
    if sums.dtype.kind == "f":
        np.true_divide(sums, ranks, out=sums)
    else:
        np.copyto(sums, np.sign(sums) * (np.abs(sums) // ranks))
