"""Makes functions for a GPU of those that are compiled for processors."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import FunctionType
from typing import Any

import numba.cuda
import numba.cuda.cudadrv.nvvm
import numpy as np

from fujimi_data.families import perlin

#: numba's, of which no types are known.
cuda: Any = numba.cuda
_nvvm: Any = numba.cuda.cudadrv.nvvm
_config: Any = numba.config
_lock = threading.Lock()


@cache
def for_device(function: Any) -> Any:
    """The same function, and those that it calls, for kernels.

    Args:
        function: Made by `fujimi_data.compiled.compiled`, of scalars and of arrays that it is given.
    """
    python = function.py_func
    if python is perlin.floor.py_func:  # type: ignore[attr-defined]
        python = _floor
    called = {name: python.__globals__[name] for name in python.__code__.co_names if name in python.__globals__}
    here = {name: for_device(value) for name, value in called.items() if hasattr(value, "py_func")}
    copied = FunctionType(python.__code__, {**python.__globals__, **here}, python.__name__, python.__defaults__)
    return cuda.jit(device=True)(copied)


def kernel(function: Callable[..., None]) -> Any:
    """Make a kernel; it is linked without optimising once more, which would join products and sums again."""
    # numba's simulator links nothing
    options = {} if _config.ENABLE_CUDASIM else {"lto": False}
    return cuda.jit(**options)(function)


def _floor(x: Any) -> Any:
    # numba knows numpy's for processors only
    return np.float32(math.floor(x))


@contextmanager
def rounding_each_operation() -> Iterator[None]:
    """Compile, inside, without joining products and sums, so that all are rounded as on processors.

    numba has no option for this, and the compiler joins them unless it is told.
    """
    with _lock:
        original: Any = _nvvm.compile_ir

        def exact(*modules: Any, **options: Any) -> Any:
            return original(*modules, **{**options, "fma": 0})

        _nvvm.compile_ir = exact
        try:
            yield
        finally:
            _nvvm.compile_ir = original


def launch(function: Any, blocks: int, threads: int, *arguments: Any) -> None:
    """Run a kernel; the first time it is compiled."""
    with rounding_each_operation():
        function[blocks, threads](*arguments)
