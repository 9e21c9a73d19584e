"""Where a dataset lies: a directory, or a URL whose files are kept in a directory once fetched."""

import fcntl
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from fujimi_data.errors import Damage, ShardError
from fujimi_data.shards.manifest import ShardEntry

_NOT_FOUND = 404


class Place(Protocol):
    """Gives the files of a dataset."""

    name: str

    def path(self, file: str, *, nbytes: int | None = None) -> Path:
        """Where a file lies on this machine; it is fetched if it is elsewhere.

        Args:
            file: Its name.
            nbytes: Its length, if that is known: what was fetched with another one is not kept.

        Raises:
            ShardError: If it cannot be fetched.
        """
        ...

    def forget(self, file: str) -> None:
        """Fetch a file anew when it is asked for again, since what was fetched is of no use."""
        ...

    def check(self, entries: Sequence[ShardEntry]) -> None:
        """Make sure that all shards are there, as far as that is cheap.

        Raises:
            ShardError: If one is missing or has another length.
        """
        ...


def place_of(place: Path | str, *, cache: Path | str | None) -> Place:
    """The place of a path or a URL."""
    if "://" not in str(place):
        return Directory(Path(place).absolute())
    if cache is None:
        what = "a dataset that lies elsewhere needs a directory for what is fetched: give cache"
        raise ShardError(Damage(shard=str(place), what=what))
    return Remote(str(place), Path(cache).absolute())


class Directory:
    """A directory on this machine, or on a file system that it mounts."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.name = str(directory)

    def path(self, file: str, *, nbytes: int | None = None) -> Path:
        """Where a file would lie."""
        return self.directory / file

    def forget(self, file: str) -> None:
        """Nothing: files are never fetched."""

    def check(self, entries: Sequence[ShardEntry]) -> None:
        """Compare the length of each shard with what the dataset says."""
        for entry in entries:
            path = self.path(entry.name)
            try:
                nbytes = path.stat().st_size
            except OSError as wrong:
                what = "missing" if isinstance(wrong, FileNotFoundError) else f"cannot be read: {wrong.strerror}"
                raise ShardError(Damage(shard=str(path), what=what)) from None
            entry.check_length(path, nbytes)


class Remote:
    """A URL that fsspec knows; files are fetched whole, once for all processes that share the cache.

    Args:
        url: Of the dataset's directory.
        cache: Directory for what is fetched; each dataset has one of its own in it.
    """

    def __init__(self, url: str, cache: Path) -> None:
        self.name = url.rstrip("/")
        self.directory = cache / hashlib.sha256(self.name.encode()).hexdigest()[:16]

    def path(self, file: str, *, nbytes: int | None = None) -> Path:
        """Where a file lies, after it was fetched."""
        path = self.directory / file
        return path if path.exists() else self._fetch(file, path, nbytes)

    def forget(self, file: str) -> None:
        """Remove what was fetched."""
        (self.directory / file).unlink(missing_ok=True)

    def check(self, entries: Sequence[ShardEntry]) -> None:
        """Nothing: that takes a request for each; lengths are compared when shards are opened."""

    def _fetch(self, file: str, path: Path, nbytes: int | None) -> Path:
        self.directory.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{file}.partial")
        with partial.open("ab") as written:
            # of processes that want the same file, one fetches it
            fcntl.flock(written, fcntl.LOCK_EX)
            if not path.exists():
                written.truncate(0)
                self._copy(file, written)
                written.flush()
                if nbytes not in (None, partial.stat().st_size):
                    what = f"has {partial.stat().st_size} bytes, the dataset says {nbytes}: it was cut or replaced"
                    raise ShardError(Damage(shard=f"{self.name}/{file}", what=what))
                os.fsync(written.fileno())
                partial.replace(path)
        return path

    def _copy(self, file: str, written: Any) -> None:
        try:
            import fsspec
        except ImportError:
            what = "datasets elsewhere need fsspec: pip install 'fujimi-data[remote]'"
            raise ShardError(Damage(shard=self.name, what=what)) from None
        url = f"{self.name}/{file}"
        try:
            with fsspec.open(url, "rb") as source:
                while block := source.read(2**24):
                    written.write(block)
        except Exception as wrong:  # each file system has errors of its own
            # that of HTTP finds no file where nobody answers, either
            why = wrong.__cause__ if isinstance(wrong, FileNotFoundError) else wrong
            missing = why is None or isinstance(why, FileNotFoundError) or getattr(why, "status", None) == _NOT_FOUND
            what = "missing" if missing else f"cannot be fetched: {why}"
            raise ShardError(Damage(shard=url, what=what)) from wrong
