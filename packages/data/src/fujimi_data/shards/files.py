"""The files of a dataset: opened when first read, each with what is wrong with it."""

import logging
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fujimi_data.errors import Damage, ShardError
from fujimi_data.shards import index
from fujimi_data.shards.checksum import digits
from fujimi_data.shards.index import Rows
from fujimi_data.shards.manifest import INDEX_FILE, Manifest, ShardEntry
from fujimi_data.shards.place import Place
from fujimi_data.shards.shard import Shard, open_file

_log = logging.getLogger(__name__)
# Tables of all shards together that each process keeps in memory; larger ones stay in the file.
_KEPT_NBYTES = 64 * 2**20
# Shares of the files that a process may hold open: for shards that stay open, of all its datasets together, and for
# those that one read opens at a time, of which several threads have some.
_KEPT_SHARE, _PASSING_SHARE = 2, 32
# Descriptors of the shards that stay open.
_KEPT: set[int] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenShard:
    """A shard that was asked for.

    Args:
        entry: What the dataset says of it.
        path: Of the file.
        descriptor: Of the open file; -1 if it cannot be opened: such a shard is not kept, it may be there again later.
        wrong: What is wrong with the file as a whole, if anything is.
        rows: Table of its index, where the dataset's file of tables does not have it.
        lost: Whether no table of it can be read.
        kept: Whether it stays open.
    """

    entry: ShardEntry
    path: Path
    descriptor: int
    wrong: Damage | None = None
    rows: Rows | None = None
    lost: bool = False
    kept: bool = False

    def release(self) -> None:
        """Close the file, unless it stays open."""
        if self.descriptor >= 0 and not self.kept:
            os.close(self.descriptor)


class ShardFiles:
    """Shards of a dataset by their positions, and the tables of their indices.

    Threads may share it. Tables of more than 64 MiB stay in their file and so, shared by all processes, in the system's
    cache; smaller ones are kept in memory, which is faster.

    Args:
        place: Where the dataset lies.
        manifest: What it is made of.
    """

    def __init__(self, place: Place, manifest: Manifest) -> None:
        self.place = place
        self.entries = manifest.shards
        self.row_type = index.row_type(manifest.origin.label_nbytes)
        #: Whether samples have labels.
        self.labelled = manifest.origin.label_nbytes > 0
        self.nbytes = np.array([entry.nbytes for entry in manifest.shards], dtype=np.int64)
        self.firsts = np.cumsum([0, *(entry.samples for entry in manifest.shards)], dtype=np.int64)
        self._shards: dict[int, OpenShard] = {}
        self._tables = self._open_tables()
        #: Rows of all tables, if they are kept in memory; whether a shard's are right is known when it is open.
        self.kept_rows: Rows | None = self._read_tables()

    def __del__(self) -> None:
        if hasattr(self, "_tables"):
            self.close()

    def close(self) -> None:
        """Close all files; a later read opens what it needs."""
        shards, self._shards = self._shards, {}
        tables, self._tables = self._tables, -1
        _KEPT.difference_update(shard.descriptor for shard in shards.values())
        for descriptor in (tables, *(shard.descriptor for shard in shards.values())):
            if descriptor >= 0:
                os.close(descriptor)

    @contextmanager
    def opened(self, positions: list[int]) -> Iterator[dict[int, OpenShard]]:
        """Shards at some positions, open as long as the context lasts at least."""
        shards: dict[int, OpenShard] = {}
        try:
            for position in positions:
                shards[position] = self.shard(position)
            yield shards
        finally:
            for shard in shards.values():
                shard.release()

    def groups(self, positions: list[int]) -> list[list[int]]:
        """Positions of shards in groups that may be open together: first all that are, then some at a time."""
        others = [position for position in positions if position not in self._shards]
        most = max(1, _most_files() // _PASSING_SHARE)
        if len(others) <= most:
            return [positions]
        held = [position for position in positions if position in self._shards]
        return [*([held] if held else []), *(others[first : first + most] for first in range(0, len(others), most))]

    def shard(self, position: int) -> OpenShard:
        """Shard at a position, open until it is released."""
        return self._shards.get(position) or self._open(position)

    def table_place(self, positions: NDArray[np.int64], numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where the rows of samples lie in the file of tables [B]; each shard has a row more than samples."""
        return (numbers + positions) * self.row_type.itemsize

    @property
    def tables(self) -> int:
        """Descriptor of the file of tables; -1 if there is none."""
        return self._tables

    def _open_tables(self) -> int:
        try:
            return open_file(self.place.path(INDEX_FILE))
        except ShardError as wrong:
            _log.warning("%s; each shard's own index is read, which takes longer and more memory", wrong)
            return -1

    def _read_tables(self) -> Rows | None:
        nbytes = (int(self.firsts[-1]) + len(self.entries)) * self.row_type.itemsize
        if self._tables < 0 or nbytes > _KEPT_NBYTES:
            return None
        try:
            content = os.pread(self._tables, nbytes, 0)
        except OSError:
            return None
        return np.frombuffer(content, dtype=self.row_type) if len(content) == nbytes else None

    def _open(self, position: int) -> OpenShard:
        if self._tables < 0:
            self._tables = self._open_tables()
        entry = self.entries[position]
        shard = _open_shard(self.place, entry, table_is_whole=self._whole_table(position) is not None)
        if shard.descriptor < 0 or len(_KEPT) >= _most_files() // _KEPT_SHARE:
            return shard
        shard = replace(shard, kept=True)
        first = self._shards.setdefault(position, shard)
        if first is shard:
            _KEPT.add(shard.descriptor)
        else:
            # another thread opened it at the same time
            os.close(shard.descriptor)
        return first

    def rows(self, position: int) -> Rows:
        """Table of a shard.

        Raises:
            ShardError: If it is damaged wherever it lies.
        """
        table = self._whole_table(position)
        if table is not None:
            return np.frombuffer(table, dtype=self.row_type)
        with self.opened([position]) as shards:
            shard = shards[position]
            if shard.rows is None:
                raise ShardError(shard.wrong or Damage(shard=str(shard.path), what="its index cannot be read"))
            return shard.rows

    def _whole_table(self, position: int) -> bytes | None:
        """Table of a shard as the dataset has it, if it is right."""
        entry = self.entries[position]
        nbytes = (entry.samples + 1) * self.row_type.itemsize
        first = int(self.firsts[position]) + position
        try:
            if self.kept_rows is not None:
                table = self.kept_rows[first : first + entry.samples + 1].tobytes()
            else:
                table = os.pread(self._tables, nbytes, first * self.row_type.itemsize) if self._tables >= 0 else b""
        except OSError:
            table = b""
        return table if len(table) == nbytes and digits(table) == entry.table else None


def _most_files() -> int:
    """How many files this process may hold open."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 2**20 if most == resource.RLIM_INFINITY else most


def _open_shard(place: Place, entry: ShardEntry, *, table_is_whole: bool) -> OpenShard:
    path = Path(place.name, entry.name)
    try:
        path = place.path(entry.name, nbytes=entry.nbytes)
        descriptor = open_file(path)
    except ShardError as error:
        return OpenShard(entry=entry, path=path, descriptor=-1, wrong=error.damage, lost=not table_is_whole)
    wrong = _what_is_wrong(descriptor, path, entry)
    if table_is_whole:
        return OpenShard(entry=entry, path=path, descriptor=descriptor, wrong=wrong)
    try:
        shard = Shard(path)
        rows = shard.index.rows if digits(shard.index.rows.tobytes()) == entry.table else None
        shard.close()
    except ShardError as error:
        rows, wrong = None, wrong or error.damage
    return OpenShard(entry=entry, path=path, descriptor=descriptor, wrong=wrong, rows=rows, lost=rows is None)


def _what_is_wrong(descriptor: int, path: Path, entry: ShardEntry) -> Damage | None:
    """Compare a file's length and the checksum at its end with what its dataset says."""
    try:
        nbytes = os.fstat(descriptor).st_size
        tail = os.pread(descriptor, index.TAIL_NBYTES, max(0, nbytes - index.TAIL_NBYTES))
    except OSError as error:
        return Damage(shard=str(path), what=f"cannot be read: {error.strerror}")
    try:
        entry.check_length(path, nbytes)
        footer = index.read_footer(tail, shard=str(path), nbytes=nbytes)
    except ShardError as error:
        return error.damage
    if footer.checksum == entry.checksum:
        return None
    what = f"was replaced or damaged: its index has checksum {footer.checksum}, the dataset says {entry.checksum}"
    return Damage(shard=str(path), what=what)
