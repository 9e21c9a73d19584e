"""Reading any part of any tensor of a checkpoint, whoever saved it."""

import difflib
from collections.abc import Mapping
from pathlib import Path

import torch
from fujimi_core.errors import RunError

from fujimi_parallel.checkpoint.directory import JSON, rank_file, read_manifest
from fujimi_parallel.checkpoint.index import Indexed, Saved, read_index
from fujimi_parallel.checkpoint.parts import Part, sources
from fujimi_parallel.checkpoint.tensor_file import Stored, bytes_of, chunks, copy


class Checkpoint:
    """A complete checkpoint.

    Opening it reads its manifest and the names of its index. Ranks' files are opened when a part of theirs is read, and
    every byte that is read was checked.

    Args:
        path: Its directory, as `newest` finds it.

    Raises:
        RunError: If it is damaged.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._manifest = read_manifest(path)
        self._tensors = read_index(path, expected=self._manifest.index)

    @property
    def path(self) -> Path:
        """Its directory."""
        return self._path

    @property
    def step(self) -> int:
        """Steps that were done."""
        return self._manifest.step

    @property
    def ranks(self) -> int:
        """How many wrote it."""
        return self._manifest.ranks

    @property
    def info(self) -> Mapping[str, JSON]:
        """What the run wanted to find again."""
        return self._manifest.info

    def names(self) -> list[str]:
        """Names of the tensors, in order of the alphabet."""
        return sorted(self._tensors)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a whole tensor."""
        return self._tensor(name).shape

    def dtype(self, name: str) -> torch.dtype:
        """Type in which a tensor was saved."""
        return self._tensor(name).dtype

    def read(self, part: Part) -> torch.Tensor:
        """Read a part, from whatever parts were saved.

        Args:
            part: Any block, any range.

        Returns:
            Its elements in one dimension, in the type in which they were saved.

        Raises:
            RunError: If there is no such tensor, elements of it were not saved, or a file is missing or damaged.
        """
        tensor = self._tensor(part.name)
        if tensor.shape != part.shape:
            raise RunError(f"{self._path} has {part.name} in shape {tensor.shape}, not {part.shape}")
        saved = tensor.load()
        try:
            found = sources(part, saved.blocks, saved.flats)
        except LookupError as wrong:
            raise RunError(f"{self._path} is not complete: {wrong.args[0]}") from None
        target = torch.empty(part.numel, dtype=tensor.dtype)
        for number, runs in found:
            copy(self._stored(part.name, tensor, saved, number), runs.times(tensor.dtype.itemsize), bytes_of(target))
        return target

    def _tensor(self, name: str) -> Indexed:
        try:
            return self._tensors[name]
        except KeyError:
            close = difflib.get_close_matches(name, self._tensors, n=3)
            hint = f"; it has {', '.join(close)}" if close else ""
            raise RunError(f"{self._path} has no tensor {name!r}{hint}") from None

    def _stored(self, name: str, tensor: Indexed, saved: Saved, number: int) -> Stored:
        begin, end = saved.flats[number].tolist()
        nbytes = (end - begin) * tensor.dtype.itemsize
        first = int(saved.first_checksums[number])
        block = tuple((low, high) for low, high in saved.blocks[number].tolist())
        return Stored(
            path=rank_file(self._path, int(saved.ranks[number])),
            key=Part(name=name, shape=tensor.shape, block=block, flat=(begin, end)).label,
            dtype=tensor.dtype,
            offset=int(saved.offsets[number]),
            nbytes=nbytes,
            checksums=saved.checksums[first : first + chunks(nbytes)],
        )
