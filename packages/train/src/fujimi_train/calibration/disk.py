"""How fast files are read, written, made and found in a directory."""

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from fujimi_core.errors import RunError

#: Of the large file.
NBYTES = 2**28
_CHUNK_NBYTES, _FILES = 2**23, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Disk:
    """Of one process that has the disk for itself.

    Args:
        read_bytes_per_s: Of a large file that is not in memory, as far as the system drops it when asked to.
        write_bytes_per_s: Of a large file, until it is on disk.
        open_rate_hz: Small files that are opened and read a second.
        create_rate_hz: Small files that are made a second.
    """

    read_bytes_per_s: float
    write_bytes_per_s: float
    open_rate_hz: float
    create_rate_hz: float


def measure_disk(directory: Path, *, nbytes: int | None = None, files: int = _FILES) -> Disk:
    """Measure the disk that a directory is on; nothing is left there.

    Args:
        directory: Where to write.
        nbytes: Of the large file; without, `NBYTES`.
        files: How many small ones.

    Raises:
        RunError: If there is no room, or nothing may be written.
    """
    nbytes = NBYTES if nbytes is None else nbytes
    try:
        with tempfile.TemporaryDirectory(prefix=".fujimi-calibrate-", dir=directory) as made:
            write_s, read_s = _large(Path(made, "large"), nbytes)
            create_s, open_s = _small(Path(made), files)
    except OSError as wrong:
        raise RunError(
            f"cannot measure the disk of {directory}, which needs {nbytes:,} B: {wrong.strerror or wrong}; "
            "make room, or let --out be elsewhere"
        ) from None
    return Disk(
        read_bytes_per_s=nbytes / read_s,
        write_bytes_per_s=nbytes / write_s,
        open_rate_hz=files / open_s,
        create_rate_hz=files / create_s,
    )


def _large(path: Path, nbytes: int) -> tuple[float, float]:
    """Times to write and to read."""
    chunk = os.urandom(min(_CHUNK_NBYTES, nbytes))
    start = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(0, nbytes, len(chunk)):
            file.write(chunk)
        os.fsync(file.fileno())
        written = time.perf_counter()
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    middle = time.perf_counter()
    with path.open("rb", buffering=0) as file:
        while file.read(_CHUNK_NBYTES):
            pass
    return written - start, time.perf_counter() - middle


def _small(directory: Path, files: int) -> tuple[float, float]:
    """Times to make and to find."""
    start = time.perf_counter()
    for number in range(files):
        (directory / str(number)).write_bytes(b"x")
    middle = time.perf_counter()
    for number in range(files):
        (directory / str(number)).read_bytes()
    return middle - start, time.perf_counter() - middle
