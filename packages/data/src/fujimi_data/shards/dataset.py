"""Random access to the samples of a directory of shards."""

import bisect
import operator
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from fujimi_core.errors import unknown
from numpy.typing import NDArray

from fujimi_data.errors import Damage, ShardError
from fujimi_data.shards.files import OpenShard, ShardFiles
from fujimi_data.shards.manifest import FILE, Manifest, load_complete
from fujimi_data.shards.pieces import Pieces, joined
from fujimi_data.shards.place import Place, place_of
from fujimi_data.shards.sample import Sample, decode, picture_in
from fujimi_data.shards.single import read_one
from fujimi_data.source import Picture

# Samples that are read at a time when all are.
_CHUNK = 64


class ShardDataset:
    """Samples by number, each checked when it is read.

    Threads may share it; processes may inherit it by fork, or receive it pickled. Shards are opened when first read.

    Args:
        place: Directory that ``fujimi data generate`` or ``fujimi data pack`` made, or its URL (``https://…``,
            ``s3://…``), from which each shard is fetched when it is first read.
        cache: Directory for what is fetched; needed for a URL.
        on_error: What iteration and loaders do with damaged samples: ``"raise"``, or ``"skip"`` them, and keep what is
            wrong with each in ``skipped``.

    Raises:
        ShardError: If it is no dataset, is not finished, or a shard is missing or has another length.
        ValueError: If ``on_error`` is something else.
    """

    def __init__(self, place: Path | str, *, cache: Path | str | None = None, on_error: str = "raise") -> None:
        if on_error not in ("raise", "skip"):
            raise ValueError(unknown("on_error", on_error, ("raise", "skip")))
        self.on_error = on_error
        #: What is wrong with the samples that iteration left out.
        self.skipped: list[Damage] = []
        self.place: Place = place_of(place, cache=cache)
        self.manifest: Manifest = self._load()
        self._files = ShardFiles(self.place, self.manifest)
        self._firsts: list[int] = self._files.firsts.tolist()
        if on_error == "raise":
            self.place.check(self.manifest.shards)

    def _load(self) -> Manifest:
        try:
            return load_complete(self.place.path(FILE))
        except ShardError:
            self.place.forget(FILE)
            raise

    def __len__(self) -> int:
        return self._firsts[-1]

    def __getitem__(self, number: int) -> Sample:
        """Read a sample.

        Args:
            number: From 0.

        Raises:
            IndexError: If there is no such sample.
            ShardError: If it is damaged.
        """
        number = operator.index(number)
        if not 0 <= number < self._firsts[-1]:
            raise IndexError(f"sample {number} of {len(self)}")
        position = bisect.bisect_right(self._firsts, number) - 1
        shard = self._files.shard(position)
        try:
            found = read_one(self._files, shard, position, number)
        finally:
            shard.release()
        if found is None:
            return self.__getitems__([number])[0]
        return decode(memoryview(found[0]), label=found[1])

    def __getitems__(self, numbers: Sequence[int]) -> list[Sample]:
        """Read some samples at once, as the loaders of torch ask for them.

        Raises:
            IndexError: If there is no such sample.
            ShardError: If one is damaged.
        """
        pieces = self.read(np.asarray(numbers, dtype=np.int64))
        for damage in pieces.damages.values():
            raise ShardError(damage)
        return [self._sample(pieces, place) for place in range(len(pieces))]

    def __iter__(self) -> Iterator[Sample]:
        """All samples, in the order of their numbers; damaged ones raise, or are left out and put down."""
        for first in range(0, len(self), _CHUNK):
            pieces = self.read(np.arange(first, min(first + _CHUNK, len(self)), dtype=np.int64), look_ahead=True)
            for place in range(len(pieces)):
                if place in pieces.damages:
                    self.skipped.append(self._tolerated(pieces.damages[place]))
                else:
                    yield self._sample(pieces, place)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_files": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._files = ShardFiles(self.place, self.manifest)

    def read(self, numbers: NDArray[np.int64], *, look_ahead: bool = False) -> Pieces:
        """Read and check the bytes of samples; the interpreter is not held meanwhile.

        Args:
            numbers: Of the samples, shape (samples,).
            look_ahead: Whether to ask the system for samples before they are read: several times as fast where they
                are not in memory, 15 % slower where they are.

        Raises:
            IndexError: If there is no such sample.
            ShardError: If a shard is not the dataset's, unless ``on_error`` is ``"skip"``.
        """
        outside = (numbers < 0) | (numbers >= len(self))
        if outside.any():
            raise IndexError(f"sample {numbers[outside][0]} of {len(self)}")
        positions = np.searchsorted(self._files.firsts, numbers, side="right") - 1
        groups = self._files.groups(np.unique(positions).tolist())
        if len(groups) == 1:
            return self._read(groups[0], positions, numbers, look_ahead=look_ahead)
        everywhere = [np.flatnonzero(np.isin(positions, group)) for group in groups]
        parts = [
            self._read(group, positions[places], numbers[places], look_ahead=look_ahead)
            for group, places in zip(groups, everywhere, strict=True)
        ]
        return joined(parts, everywhere)

    def _read(
        self, group: list[int], positions: NDArray[np.int64], numbers: NDArray[np.int64], *, look_ahead: bool
    ) -> Pieces:
        """Read samples of shards that may be open together."""
        # numba takes longer to import than to open a dataset
        from fujimi_data.shards.reading import read_pieces

        with self._files.opened(group) as shards:
            self._refuse(shards)
            return read_pieces(self._files, shards, positions, numbers, look_ahead=look_ahead)

    def labels(self) -> NDArray[np.int64]:
        """Class of each sample, from the tables alone; 0 where samples have none.

        Raises:
            ShardError: If a table is damaged.
        """
        labels = np.zeros(len(self), dtype=np.int64)
        for position, (first, end) in enumerate(pairwise(self._firsts) if self._files.labelled else ()):
            labels[first:end] = self._files.rows(position)["label"][:-1]
        return labels

    def _refuse(self, shards: Mapping[int, OpenShard]) -> None:
        """Raise what is wrong with a shard, unless damaged samples are skipped: some of it may be whole."""
        if self.on_error == "raise":
            for shard in shards.values():
                if shard.wrong is not None:
                    raise ShardError(shard.wrong)

    def pictures(self, numbers: NDArray[np.int64]) -> Iterator[Picture]:
        """Read and decode the first picture of each sample; of a damaged one, give what is wrong, or raise it."""
        pieces = self.read(numbers, look_ahead=True)
        for place, label in enumerate(pieces.labels.tolist()):
            if place in pieces.damages:
                yield Picture(self._tolerated(pieces.damages[place]), label)
            else:
                yield Picture(self._decoded(int(numbers[place]), pieces[place]), label)

    def _decoded(self, number: int, piece: memoryview) -> NDArray[np.uint8] | Damage:
        try:
            return picture_in(piece)
        except ValueError as wrong:
            return self._tolerated(Damage(shard=self.place.name, sample=f"number {number}", what=str(wrong)))

    def _tolerated(self, damage: Damage) -> Damage:
        if self.on_error == "raise":
            raise ShardError(damage)
        return damage

    def _sample(self, pieces: Pieces, place: int) -> Sample:
        return decode(pieces[place], label=int(pieces.labels[place]) if self._files.labelled else None)

    def close(self) -> None:
        """Close all files; a later read opens what it needs."""
        self._files.close()
