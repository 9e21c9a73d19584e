"""Which file has which part of which tensor: the one file of a checkpoint that all readers open."""

import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from fujimi_core.errors import RunError
from numpy.typing import NDArray

from fujimi_parallel.checkpoint.directory import rank_file
from fujimi_parallel.checkpoint.parts import Int64s, Part
from fujimi_parallel.checkpoint.tensor_file import (
    DTYPE_NAMES,
    DTYPES,
    Entry,
    Stored,
    chunks,
    read,
    read_header,
    write,
)

_PARTS = "parts"
_TENSORS = "tensors"
_FILE = "index.safetensors"
# columns of a tensor's table; those of the block follow: begin and end in each dim
_RANK, _OFFSET, _BEGIN, _END, _BLOCK = range(5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saved:
    """The saved parts of one tensor.

    Args:
        ranks: In whose file each is.
        offsets: Of each in that file [B].
        blocks: Shape (parts, dims, 2).
        flats: Shape (parts, 2).
        checksums: Of all chunks of the first part, then of the second, and so on.
        first_checksums: Of each part among these.
    """

    ranks: Int64s
    offsets: Int64s
    blocks: Int64s
    flats: Int64s
    checksums: NDArray[np.uint32]
    first_checksums: Int64s


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexed:
    """A tensor of a checkpoint, and where in the index its parts are listed."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    parts: Stored
    checksums: Stored

    def load(self) -> Saved:
        """Read the list of parts.

        Raises:
            RunError: If the index is damaged.
        """
        table = read(self.parts).numpy().reshape(-1, _BLOCK + 2 * len(self.shape))
        nbytes = (table[:, _END] - table[:, _BEGIN]) * self.dtype.itemsize
        return Saved(
            ranks=table[:, _RANK],
            offsets=table[:, _OFFSET],
            blocks=table[:, _BLOCK:].reshape(len(table), len(self.shape), 2),
            flats=table[:, _BEGIN : _END + 1],
            checksums=read(self.checksums).numpy(),
            first_checksums=np.cumsum([0, *map(chunks, nbytes[:-1].tolist())]),
        )


@dataclass(slots=True, kw_only=True)
class _Found:
    """What the files have of one tensor."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    rows: list[tuple[int, ...]] = field(default_factory=list)
    checksums: list[NDArray[np.uint32]] = field(default_factory=list)


def write_index(checkpoint: Path, ranks: int) -> str:
    """Write the index of what the ranks have written.

    Args:
        checkpoint: Directory in which all ranks are done.
        ranks: How many there are; not each has a file.

    Returns:
        Checksum of the index's header.

    Raises:
        RunError: If elements are missing, ranks contradict each other, or a file cannot be read or written.
    """
    found: dict[str, _Found] = {}
    for rank, stored, name, shape, row in _all_parts(checkpoint, ranks):
        tensor = found.setdefault(name, _Found(dtype=stored.dtype, shape=shape))
        if (stored.dtype, shape) != (tensor.dtype, tensor.shape):
            raise RunError(
                f"{stored.path} has {name} as {stored.dtype} of shape {shape}, "
                f"other ranks as {tensor.dtype} of shape {tensor.shape}"
            )
        tensor.rows.append((rank, stored.offset, *row))
        tensor.checksums.append(stored.checksums)
    tables = {name: np.array(tensor.rows, dtype=np.int64) for name, tensor in found.items()}
    for name, table in tables.items():
        _require_all(name, found[name].shape, table, checkpoint)
    contents = {f"parts/{name}": torch.from_numpy(table) for name, table in tables.items()}
    for name, tensor in found.items():
        contents[f"checksums/{name}"] = torch.from_numpy(np.concatenate(tensor.checksums))
    entries = [Entry(key=key, dtype=each.dtype, shape=tuple(each.shape)) for key, each in contents.items()]
    tensors = {name: (DTYPE_NAMES[tensor.dtype], tensor.shape) for name, tensor in found.items()}
    flat = (content.reshape(-1) for content in contents.values())
    return write(checkpoint / _FILE, entries, flat, about={_TENSORS: json.dumps(tensors)})


def _all_parts(checkpoint: Path, ranks: int) -> Iterator[tuple[int, Stored, str, tuple[int, ...], list[int]]]:
    """Rank, place, name and shape of the tensor, flat range and block of each part that was written."""
    for rank in range(ranks):
        path = rank_file(checkpoint, rank)
        if path.exists():
            header = read_header(path)
            for (name, shape, *row), stored in zip(
                json.loads(header.about[_PARTS]), header.tensors.values(), strict=True
            ):
                yield rank, stored, name, tuple(shape), row


def _require_all(name: str, shape: tuple[int, ...], table: Int64s, checkpoint: Path) -> None:
    """Refuse a checkpoint without all elements; parts that overlap in part only may hide that, until they are read."""
    different = np.unique(table[:, _BEGIN:], axis=0)
    have = int((different[:, 1] - different[:, 0]).sum())
    numel = math.prod(shape)
    if have < numel:
        raise RunError(
            f"{checkpoint} has {have:,} of the {numel:,} elements of {name}; "
            "all ranks must write to the same file system, and between them all parts"
        )


def describe(parts: Iterable[Part]) -> dict[str, str]:
    """Text for the header of a rank's file: of which parts its tensors are, in their order."""
    rows = [(part.name, part.shape, *part.flat, *itertools.chain(*part.block)) for part in parts]
    return {_PARTS: json.dumps(rows)}


def read_index(checkpoint: Path, *, expected: str) -> Mapping[str, Indexed]:
    """Find out which tensors a checkpoint has; their parts are read later.

    Args:
        checkpoint: Its directory.
        expected: What `write_index` returned.

    Raises:
        RunError: If the index is missing, damaged or another one.
    """
    header = read_header(checkpoint / _FILE, expected=expected)
    return {
        name: Indexed(
            dtype=DTYPES[dtype],
            shape=tuple(shape),
            parts=header.tensors[f"parts/{name}"],
            checksums=header.tensors[f"checksums/{name}"],
        )
        for name, (dtype, shape) in json.loads(header.about[_TENSORS]).items()
    }
