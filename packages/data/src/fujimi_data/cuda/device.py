"""Makes functions for a GPU of those that are compiled for processors."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import FunctionType
from typing import Any

import numba.cuda
import numba.cuda.cudadrv.nvvm

#: numba's, of which no types are known.
cuda: Any = numba.cuda
_nvvm: Any = numba.cuda.cudadrv.nvvm
_lock = threading.Lock()


@cache
def for_device(function: Any) -> Any:
    """The same function, and those that it calls, for kernels.

    Args:
        function: Made by `fujimi_data.compiled.compiled`, of scalars and of arrays that it is given.
    """
    python = function.py_func
    called = {name: python.__globals__[name] for name in python.__code__.co_names if name in python.__globals__}
    here = {name: for_device(value) for name, value in called.items() if hasattr(value, "py_func")}
    copied = FunctionType(python.__code__, {**python.__globals__, **here}, python.__name__, python.__defaults__)
    return cuda.jit(device=True)(copied)


@contextmanager
def rounding_each_operation() -> Iterator[None]:
    """Compile, inside, without joining products and sums, so that all are rounded as on processors.

    numba has no option for this, and the compiler joins them unless it is told.
    """
    with _lock:
        original: Any = _nvvm.CompilationUnit
        if original is None:  # numba's simulator
            yield
            return

        class Exact(original):  # type: ignore[misc]
            def __init__(self, options: dict[str, Any]) -> None:
                super().__init__({**options, "fma": 0})

        _nvvm.CompilationUnit = Exact
        try:
            yield
        finally:
            _nvvm.CompilationUnit = original


def launch(kernel: Any, blocks: int, threads: int, *arguments: Any) -> None:
    """Run a kernel; the first time it is compiled."""
    with rounding_each_operation():
        kernel[blocks, threads](*arguments)
