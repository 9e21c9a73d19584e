"""Reads one shard, from any number of threads."""

import os
from pathlib import Path

from fujimi_data import shard_index
from fujimi_data.checksum import crc32c
from fujimi_data.errors import Damage, ShardError
from fujimi_data.manifest import ShardEntry
from fujimi_data.sample import Sample, picture_of
from fujimi_data.shard_index import ShardIndex


class Shard:
    """A shard whose index has been read and checked.

    Args:
        path: Of the file.
        recipe: Digest of the recipe of the dataset it must belong to.
        entry: What the dataset says of it, if it says anything yet.
        keep_open: Hold the file open; otherwise each read opens it.

    Raises:
        ShardError: If the file is missing, cut, damaged or another one.
    """

    def __init__(self, path: Path, *, recipe: str, entry: ShardEntry | None = None, keep_open: bool = True) -> None:
        self.path = path
        self._descriptor: int | None = _open(path)
        try:
            self.index, self.nbytes = _read_index(self._descriptor, path, entry)
            self._check(recipe, entry)
        except BaseException:
            self.close()
            raise
        if not keep_open:
            self.close()

    def __len__(self) -> int:
        return len(self.index.rows)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            self.close()

    def close(self) -> None:
        """Close the file; each later read opens it."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    @property
    def entry(self) -> ShardEntry:
        """What a dataset says of this shard."""
        return ShardEntry(name=self.path.name, samples=len(self), nbytes=self.nbytes, checksum=self.index.checksum)

    def read(self, number: int) -> Sample:
        """Read, check and decode a sample.

        Args:
            number: In this shard, from 0.

        Raises:
            ShardError: If a bit of the sample or of its headers is wrong.
        """
        content = self.read_bytes(number)
        row = self.index.rows[number]
        try:
            picture = picture_of(content, int(row["picture_nbytes"]))
        except ValueError as wrong:
            raise self._damaged(number, str(wrong)) from None
        return Sample(picture=picture, label=int(row["label"]), key=row["key"].decode())

    def read_bytes(self, number: int) -> bytes:
        """Read and check the bytes of a sample, headers and padding included.

        Raises:
            ShardError: If a bit of them is wrong.
        """
        row = self.index.rows[number]
        kept = self._descriptor
        descriptor = _open(self.path) if kept is None else kept
        try:
            content = os.pread(descriptor, int(row["nbytes"]), int(row["offset"]))
        except OSError as wrong:
            raise self._damaged(number, f"cannot be read: {wrong.strerror}") from None
        finally:
            if kept is None:
                os.close(descriptor)
        if len(content) != row["nbytes"]:
            raise self._damaged(number, "the file ends before the sample does")
        if crc32c(content) != row["crc32c"]:
            raise self._damaged(number, "the checksum of header, picture and label does not match")
        return content

    def _damaged(self, number: int, what: str) -> ShardError:
        row = self.index.rows[number]
        return ShardError(
            Damage(shard=str(self.path), sample=row["key"].decode(), offset=int(row["offset"]), what=what)
        )

    def _check(self, recipe: str, entry: ShardEntry | None) -> None:
        what = ""
        if self.index.recipe != recipe:
            what = "belongs to another dataset"
        elif entry is not None and entry != self.entry:
            what = f"was replaced: its index has checksum {self.index.checksum}, the dataset says {entry.checksum}"
        if what:
            raise ShardError(Damage(shard=str(self.path), what=what))


def _open(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ShardError(Damage(shard=str(path), what="missing")) from None
    except OSError as wrong:
        raise ShardError(Damage(shard=str(path), what=f"cannot be opened: {wrong.strerror}")) from None


def check_length(path: Path, nbytes: int, entry: ShardEntry) -> None:
    """Compare the length of a file with what its dataset says.

    Raises:
        ShardError: If it is another.
    """
    if nbytes != entry.nbytes:
        what = f"has {nbytes} bytes, the dataset says {entry.nbytes}: it was cut or replaced"
        raise ShardError(Damage(shard=str(path), offset=min(nbytes, entry.nbytes), what=what))


def _read_index(descriptor: int, path: Path, entry: ShardEntry | None) -> tuple[ShardIndex, int]:
    shard = str(path)
    nbytes = os.fstat(descriptor).st_size
    if entry is not None:
        check_length(path, nbytes, entry)
    try:
        tail = os.pread(descriptor, shard_index.TAIL_NBYTES, max(0, nbytes - shard_index.TAIL_NBYTES))
        offset = shard_index.offset_of(tail, shard=shard, nbytes=nbytes)
        content = os.pread(descriptor, nbytes - offset, offset)
    except OSError as wrong:
        raise ShardError(Damage(shard=shard, what=f"cannot be read: {wrong.strerror}")) from None
    return shard_index.decode(content, shard=shard, offset=offset), nbytes
