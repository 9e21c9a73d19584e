"""Parts of named tensors, and which elements of some make up another."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Range: TypeAlias = tuple[int, int]
Int64s: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one rank holds of one tensor: a range of the elements of a block.

    `Part.of` fills in what is whole.

    Args:
        name: Of the tensor.
        shape: Of the whole tensor; ``()`` for a scalar.
        block: Half-open range in each dim, as tensor parallelism cuts it.
        flat: Half-open range of the block's elements in row-major order, as ZeRO cuts it; may be empty.
    """

    name: str
    shape: tuple[int, ...]
    block: tuple[Range, ...]
    flat: Range

    def __post_init__(self) -> None:
        if len(self.block) != len(self.shape):
            raise ValueError(f"{self.name}: block {self.block} has not one range for each dim of shape {self.shape}")
        for (begin, end), extent in zip(self.block, self.shape, strict=True):
            if not 0 <= begin <= end <= extent:
                raise ValueError(f"{self.name}: block {self.block} does not lie in shape {self.shape}")
        if not 0 <= self.flat[0] <= self.flat[1] <= _volume(self.block):
            raise ValueError(f"{self.name}: flat range {self.flat} does not lie in the block's {_volume(self.block):,}")

    @classmethod
    def of(
        cls, name: str, shape: Sequence[int], *, block: Sequence[Range] | None = None, flat: Range | None = None
    ) -> "Part":
        """A part; without ``block`` of the whole tensor, without ``flat`` with all elements of the block.

        >>> Part.of("weight", (4, 6), block=((0, 4), (0, 3))).numel
        12
        """
        ranges = tuple((0, extent) for extent in shape) if block is None else tuple(block)
        return cls(name=name, shape=tuple(shape), block=ranges, flat=(0, _volume(ranges)) if flat is None else flat)

    @property
    def numel(self) -> int:
        """Number of elements."""
        return self.flat[1] - self.flat[0]

    @property
    def label(self) -> str:
        """Name, block and flat range, as a slice is written.

        >>> Part.of("weight", (4, 6), flat=(6, 12)).label
        'weight[0:4, 0:6][6:12]'
        """
        block = ", ".join(f"{begin}:{end}" for begin, end in self.block)
        return f"{self.name}[{block}][{self.flat[0]}:{self.flat[1]}]"

    def share(self, index: int, count: int) -> "Part":
        """One of so many consecutive shares, equal but for one element; replicas that each write theirs write it once.

        >>> [Part.of("bias", (8,)).share(index, 3).flat for index in range(3)]
        [(0, 2), (2, 5), (5, 8)]
        """
        if not 0 <= index < count:
            raise ValueError(f"{self.name}: share {index} of {count}; shares count from 0")
        begin, end = (self.flat[0] + self.numel * cut // count for cut in (index, index + 1))
        return replace(self, flat=(begin, end))


@dataclass(frozen=True, slots=True, kw_only=True)
class Runs:
    """Elements to copy: so many, from there in the source to there in the target; ascending in both."""

    target: Int64s
    source: Int64s
    length: Int64s

    def times(self, nbytes: int) -> "Runs":
        """The same in bytes, for elements of so many."""
        return Runs(target=self.target * nbytes, source=self.source * nbytes, length=self.length * nbytes)

    def only(self, some: NDArray[np.bool_]) -> "Runs":
        """Those for which ``some`` is true."""
        return Runs(target=self.target[some], source=self.source[some], length=self.length[some])


def sources(wanted: Part, blocks: Int64s, flats: Int64s) -> list[tuple[int, Runs]]:
    """Find each wanted element once among saved parts, which may overlap.

    Args:
        wanted: Part of the tensor.
        blocks: Of the saved parts of this tensor, shape (parts, dims, 2).
        flats: Their flat ranges, shape (parts, 2).

    Returns:
        Number of a saved part, and what to copy from its elements to the wanted ones; each part at most once.

    Raises:
        LookupError: Names the first element that is in no saved part.
    """
    if not wanted.numel:
        return []
    block, flat = _int64s(wanted.block).reshape(-1, 2), _int64s(wanted.flat)
    box = _boxes(block[None], flat[None])[0]
    filled = np.flatnonzero(flats[:, 0] < flats[:, 1])
    boxes = _boxes(blocks[filled], flats[filled])
    common = np.stack([np.maximum(boxes[..., 0], box[:, 0]), np.minimum(boxes[..., 1], box[:, 1])], axis=-1)
    meets = np.flatnonzero((common[..., 0] < common[..., 1]).all(axis=1))
    near = filled[meets]
    found = [
        _common_runs(block, flat, blocks[number], flats[number], box=within)
        for number, within in zip(near, common[meets], strict=True)
    ]
    return _each_once(wanted, near, found)


def _boxes(blocks: Int64s, flats: Int64s) -> Int64s:
    """Smallest box around each part, in the tensor's coordinates; no part is empty."""
    extents = blocks[..., 1] - blocks[..., 0]
    boxes = blocks.copy()
    first, last = flats[:, 0], flats[:, 1] - 1
    is_one_row = np.ones(len(blocks), dtype=bool)  # in all dims so far
    for dim in range(blocks.shape[1]):
        inner = extents[:, dim + 1 :].prod(axis=1)
        low, high = first // inner % extents[:, dim], last // inner % extents[:, dim]
        boxes[is_one_row, dim, 1] = (blocks[:, dim, 0] + high + 1)[is_one_row]
        boxes[is_one_row, dim, 0] = (blocks[:, dim, 0] + low)[is_one_row]
        is_one_row &= low == high
    return boxes


def _common_runs(block: Int64s, flat: Int64s, saved_block: Int64s, saved_flat: Int64s, *, box: Int64s) -> Runs:
    """What two parts have in common, given a box around it."""
    partial = np.flatnonzero((block != saved_block).any(axis=1) | (box != block).any(axis=1))
    # a run takes the innermost dim of which not all is common, and all dims within, which lie together in both
    outer = int(partial[-1]) if len(partial) else 0
    length = int((box[outer:, 1] - box[outer:, 0]).prod())
    at, saved_at = _offsets(box, block, outer), _offsets(box, saved_block, outer)
    begin = np.maximum(0, np.maximum(flat[0] - at, saved_flat[0] - saved_at))
    end = np.minimum(length, np.minimum(flat[1] - at, saved_flat[1] - saved_at))
    runs = Runs(target=at + begin - flat[0], source=saved_at + begin - saved_flat[0], length=end - begin)
    return runs.only(begin < end)


def _offsets(box: Int64s, block: Int64s, outer: int) -> Int64s:
    """Where in a block the rows of a box begin, for each index of its outer dims."""
    extents = block[:, 1] - block[:, 0]
    strides = _int64s([extents[dim + 1 :].prod() for dim in range(len(block))])
    offsets: Int64s = ((box[:, 0] - block[:, 0]) * strides).sum(keepdims=True)
    for dim in range(outer):
        offsets = np.add.outer(offsets, np.arange(box[dim, 1] - box[dim, 0]) * strides[dim]).ravel()
    return offsets


def _each_once(wanted: Part, numbers: Int64s, found: list[Runs]) -> list[tuple[int, Runs]]:
    """Cut runs of several parts so that each wanted element is in exactly one."""
    target, source, length = (
        np.concatenate([_int64s([]), *(getattr(runs, field) for runs in found)])
        for field in ("target", "source", "length")
    )
    owner = np.repeat(np.arange(len(found)), [len(runs.target) for runs in found])
    order = np.argsort(target, kind="stable")
    target, source, length, owner = target[order], source[order], length[order], owner[order]
    reached = np.maximum.accumulate(np.concatenate([_int64s([0]), target + length]))
    gaps = reached[:-1][target > reached[:-1]]
    missing = int(gaps[0]) if len(gaps) else int(reached[-1])
    if missing < wanted.numel:
        raise LookupError(f"element {missing:,} of {wanted.label} was saved by no rank")
    cut = np.maximum(reached[:-1] - target, 0)
    runs = Runs(target=target + cut, source=source + cut, length=length - cut)
    owner[runs.length <= 0] = -1
    return [(int(numbers[each]), runs.only(owner == each)) for each in np.unique(owner) if each >= 0]


def _int64s(numbers: Sequence[int] | Sequence[Range]) -> Int64s:
    return np.array(numbers, dtype=np.int64)


def _volume(block: Sequence[Range]) -> int:
    return math.prod(end - begin for begin, end in block)
