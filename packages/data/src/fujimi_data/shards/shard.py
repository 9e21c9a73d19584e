"""One shard, read from any number of threads."""

import errno
import os
from functools import cached_property
from pathlib import Path

from fujimi_core.errors import RunError

from fujimi_data.errors import Damage, ShardError
from fujimi_data.shards import index, tar
from fujimi_data.shards.checksum import crc32c, digits
from fujimi_data.shards.index import Footer, ShardIndex
from fujimi_data.shards.manifest import ShardEntry


class Shard:
    """A shard that is open; its index is read when it is asked for.

    Args:
        path: Of the file.
        recipe: Digest of what the dataset is made of that it must belong to; without, any.

    Raises:
        ShardError: If the file is missing, cut, or another dataset's.
    """

    def __init__(self, path: Path, *, recipe: str | None = None) -> None:
        self.path = path
        self.descriptor = open_file(path)
        try:
            self.nbytes = os.fstat(self.descriptor).st_size
            tail_at = max(0, self.nbytes - index.TAIL_NBYTES)
            tail = self._pread(index.TAIL_NBYTES, tail_at)
            self.footer: Footer = index.read_footer(tail, shard=str(path), nbytes=self.nbytes)
            if recipe is not None and self.footer.recipe != recipe:
                raise ShardError(Damage(shard=str(path), what="belongs to another dataset"))
        except BaseException:
            self.close()
            raise

    def __len__(self) -> int:
        return self.footer.samples

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            self.close()

    def close(self) -> None:
        """Close the file."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)

    @cached_property
    def index(self) -> ShardIndex:
        """Where samples lie, and their keys.

        Raises:
            ShardError: If a bit of it is wrong.
        """
        offset = self.footer.index_offset
        content = self._pread(self.nbytes - offset, offset)
        return index.decode(content, footer=self.footer, shard=str(self.path))

    @property
    def entry(self) -> ShardEntry:
        """What a dataset says of this shard."""
        return ShardEntry(
            name=self.path.name,
            samples=len(self),
            nbytes=self.nbytes,
            checksum=self.footer.checksum,
            table=digits(self.index.rows.tobytes()),
        )

    def read_bytes(self, number: int) -> bytes:
        """Read and check the bytes of a sample, headers and padding included.

        Args:
            number: In this shard, from 0.

        Raises:
            ShardError: If a bit of them is wrong.
        """
        rows = self.index.rows
        offset, end = (int(block) * tar.BLOCK for block in rows["offset"][number : number + 2])
        try:
            content = os.pread(self.descriptor, end - offset, offset)
        except OSError as wrong:
            raise self._damaged(number, f"cannot be read: {wrong.strerror}") from None
        if len(content) != end - offset:
            raise self._damaged(number, "the file ends before the sample does")
        if crc32c(content) != rows["crc32c"][number]:
            raise self._damaged(number, "the checksum of headers and content does not match")
        return content

    def _damaged(self, number: int, what: str) -> ShardError:
        offset = int(self.index.rows["offset"][number]) * tar.BLOCK
        return ShardError(Damage(shard=str(self.path), sample=self.index.keys[number], offset=offset, what=what))

    def _pread(self, nbytes: int, offset: int) -> bytes:
        try:
            return os.pread(self.descriptor, nbytes, offset)
        except OSError as wrong:
            raise ShardError(Damage(shard=str(self.path), what=f"cannot be read: {wrong.strerror}")) from None


def open_file(path: Path) -> int:
    """Open a file for reading.

    Raises:
        ShardError: If it is missing or cannot be opened.
        RunError: If too many files are open: nothing is wrong with this one.
    """
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise ShardError(Damage(shard=str(path), what="missing")) from None
    except OSError as wrong:
        if wrong.errno in (errno.EMFILE, errno.ENFILE):
            raise RunError(f"{path} cannot be opened: {wrong.strerror}; allow more, as by 'ulimit -n 4096'") from None
        raise ShardError(Damage(shard=str(path), what=f"cannot be opened: {wrong.strerror}")) from None
