"""Random access to the samples of a directory of shards."""

import bisect
import itertools
import operator
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fujimi_data.errors import Damage, ShardError
from fujimi_data.manifest import Manifest, ShardEntry, load_complete
from fujimi_data.sample import Sample
from fujimi_data.shard import Shard, check_length

# A process may hold some 1000 files open; further shards are opened for each read.
_KEPT_OPEN = 512


class ShardDataset:
    """Samples by number, each checked when it is read.

    Threads may share it; processes may inherit it by fork, or receive it pickled. Shards are opened when first read.

    Args:
        directory: What ``fujimi data generate`` made.

    Raises:
        ShardError: If it is no dataset, is not finished, or a shard is missing or has another length.
    """

    def __init__(self, directory: Path | str) -> None:
        self.directory = Path(directory)
        self.manifest: Manifest = load_complete(self.directory)
        for entry in self.manifest.shards:
            _check_length(self.directory / entry.name, entry)
        self._ends = list(itertools.accumulate(entry.samples for entry in self.manifest.shards))
        self._recipe = self.manifest.recipe.digest
        self._shards: dict[int, Shard] = {}

    def __len__(self) -> int:
        return self.manifest.recipe.samples

    def __getitem__(self, number: int) -> Sample:
        """Read a sample.

        Args:
            number: From 0.

        Raises:
            IndexError: If there is no such sample.
            ShardError: If it is damaged.
        """
        number = operator.index(number)
        if not 0 <= number < len(self):
            raise IndexError(f"sample {number} of {len(self)}")
        position = bisect.bisect_right(self._ends, number)
        first = self._ends[position - 1] if position else 0
        return self._shard(position).read(number - first)

    def __iter__(self) -> Iterator[Sample]:
        return (self[number] for number in range(len(self)))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shards": {}}

    def close(self) -> None:
        """Close all files; a later read opens what it needs."""
        shards, self._shards = self._shards, {}
        for shard in shards.values():
            shard.close()

    def _shard(self, position: int) -> Shard:
        shard = self._shards.get(position)
        if shard is None:
            entry = self.manifest.shards[position]
            opened = Shard(
                self.directory / entry.name, recipe=self._recipe, entry=entry, keep_open=position < _KEPT_OPEN
            )
            # of threads that open the same shard at once, the first wins; the others' closes when it is dropped
            shard = self._shards.setdefault(position, opened)
        return shard


def _check_length(path: Path, entry: ShardEntry) -> None:
    try:
        nbytes = path.stat().st_size
    except OSError as wrong:
        what = "missing" if isinstance(wrong, FileNotFoundError) else f"cannot be read: {wrong.strerror}"
        raise ShardError(Damage(shard=str(path), what=what)) from None
    check_length(path, nbytes, entry)
