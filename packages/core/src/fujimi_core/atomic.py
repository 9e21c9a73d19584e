"""Files that appear whole or not at all, and directories for one writer."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from fujimi_core.errors import FujimiError, RunError

_log = logging.getLogger(__name__)


@contextmanager
def atomic_file(path: Path, *, writer: str = "") -> Iterator[BinaryIO]:
    """Write a file under another name; it gets its own when all of it is on disk.

    A killed process leaves the other name, ``.<name>.partial``, which the next writer overwrites.

    Args:
        path: Of the file.
        writer: Becomes part of the other name; processes that write the same bytes at the same time need one each.

    Raises:
        RunError: If the disk is full or the file cannot be written; nothing is left then.
    """
    partial = path.with_name(f".{path.name}.{writer}.partial" if writer else f".{path.name}.partial")
    try:
        with partial.open("wb", buffering=2**20) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync_directory(path.parent)
    except OSError as wrong:
        partial.unlink(missing_ok=True)
        raise RunError(f"cannot write {path}: {wrong.strerror or wrong}") from wrong
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


@contextmanager
def only_writer(directory: Path, *, part: str | None = None) -> Iterator[None]:
    """Keep other processes from writing into a directory.

    Args:
        directory: Which.
        part: Of it, where several processes write different parts: then only the same part is kept from others, and
            the whole from those that write all.

    Raises:
        FujimiError: If one does already.
    """
    descriptors = [os.open(directory, os.O_RDONLY)]
    try:
        _lock(directory, descriptors[0], fcntl.LOCK_EX if part is None else fcntl.LOCK_SH)
        if part is not None:
            descriptors.append(os.open(directory / f".{part}.lock", os.O_CREAT | os.O_RDWR, 0o666))
            _lock(directory, descriptors[1], fcntl.LOCK_EX)
        yield
        if part is not None:
            (directory / f".{part}.lock").unlink(missing_ok=True)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _lock(directory: Path, descriptor: int, kind: int) -> None:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FujimiError(f"another process is writing {directory}: wait for it, or choose another place") from None
    except OSError as wrong:
        _log.warning("%s cannot be locked (%s): see to it that nobody else writes there", directory, wrong.strerror)


def sync_directory(directory: Path) -> None:
    """Put on disk which files a directory has, under which names."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
