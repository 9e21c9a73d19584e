"""Files that a command writes: refused before anything is simulated, or written whole."""

import os
from collections.abc import Collection
from pathlib import Path

from fujimi_core.errors import FujimiError, RunError, unknown


def require_writable(option: str, path: Path, *, kinds: Collection[str] = ()) -> None:
    """Refuse a file that could not be written, before anything is simulated.

    Args:
        option: By which it was asked for, for the message.
        path: The file.
        kinds: Endings that it may have; any if there are none.

    Raises:
        FujimiError: If its ending is unknown, or it cannot be written.
    """
    if kinds and path.suffix.lower() not in kinds:
        raise FujimiError(f"{option} {path}: {unknown('kind of file', path.suffix, kinds)}")
    if not path.parent.is_dir():
        raise FujimiError(f"{option} {path}: there is no directory {path.parent}; make it, or choose another")
    if path.is_dir():
        raise FujimiError(f"{option} {path}: this is a directory; add the name of a file")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise FujimiError(f"{option} {path}: no permission to write it; choose another place")


def write(content: bytes, path: Path) -> None:
    """Write a file.

    Raises:
        RunError: If it cannot be written.
    """
    try:
        path.write_bytes(content)
    except OSError as wrong:
        raise RunError(f"cannot write {path}: {wrong}") from None


def require_directory(option: str, path: Path) -> None:
    """Refuse a directory that cannot be made.

    Raises:
        FujimiError: If it is a file, or there is nothing to make it in.
    """
    if path.exists() and not path.is_dir():
        raise FujimiError(f"{option} {path}: this is a file; give a directory")
    if not path.exists() and not path.parent.is_dir():
        raise FujimiError(f"{option} {path}: there is no directory {path.parent}; make it, or choose another")
