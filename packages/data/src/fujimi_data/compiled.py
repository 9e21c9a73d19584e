"""Compiles numeric functions with numba and keeps the result on disk."""

import hashlib
import logging
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., Any])
# its options are attributes that it sets at run time
_config: Any = numba.config
_log = logging.getLogger(__name__)


def compiled(function: Function) -> Function:
    """Compile a function at its first call; it then runs without the interpreter's lock.

    Floating-point arithmetic keeps its order, so the bits are those that Python or C would get. Processes that compile
    at the same time are safe: numba replaces the files of its cache atomically.
    """
    directory = _cache_directory()
    before, _config.CACHE_DIR = _config.CACHE_DIR, str(directory)
    try:
        # without forceinline, loops over calls are not vectorised
        decorate = numba.njit(nogil=True, cache=directory is not None, forceinline=True, error_model="numpy")
        return cast(Function, decorate(function))
    finally:
        _config.CACHE_DIR = before


@cache
def _cache_directory() -> Path | None:
    """Place of the cache, another one for each state of the compiled sources; None if it cannot be written.

    numba looks only at the file of a function, not at those of the functions it calls: a change there would go unseen.
    """
    fingerprint = hashlib.sha256()
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        source = path.read_bytes()
        if b"compiled" in source:
            fingerprint.update(source)
    directory = _base_directory() / f"fujimi-data-{fingerprint.hexdigest()[:16]}"
    if not directory.exists() and sys.stderr.isatty():
        sys.stderr.write(f"fujimi: what is first used is compiled, up to a minute in all; kept in {directory}\n")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as wrong:
        _log.warning("each process compiles anew, which takes seconds: %s; set NUMBA_CACHE_DIR", wrong)
        return None
    return directory


def _base_directory() -> Path:
    if _config.CACHE_DIR:
        return Path(_config.CACHE_DIR)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fujimi"
