"""Keeps torch's compiler out: fake tensors and optimizers import it for a few settings, at the cost of all else."""

import contextlib
import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import torch

_NAME = "torch._dynamo"
#: Where torch remembers a function as it is outside of the compiler.
_MEMORY = "__dynamo_disable"


@contextlib.contextmanager
def compiler_left_out() -> Iterator[None]:
    """Let ``torch._dynamo`` be a shell with its settings; the real one comes as soon as anything else is asked of it.

    Afterwards all is as before, and the compiler can be imported and used. Does nothing where it is imported already.
    """
    if _NAME in sys.modules:
        yield
        return
    shell = _Shell()
    sys.modules[_NAME] = shell
    torch._dynamo = shell
    try:
        yield
    finally:
        shell.remove()


class _Shell(ModuleType):
    """Stands for the compiler where it has nothing to do."""

    def __init__(self) -> None:
        super().__init__(_NAME)
        spec = importlib.util.find_spec("torch")
        assert spec is not None
        assert spec.submodule_search_locations is not None
        self.__path__ = [f"{place}/_dynamo" for place in spec.submodule_search_locations]
        self._untouched: list[Callable[..., Any]] = []

    def disable(self, fn: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
        """Leave a function alone: nothing is compiled."""
        self._untouched.append(fn)
        return fn

    def graph_break(self, *_: Any, **__: Any) -> None:
        """Do nothing: there is no graph."""

    def remove(self) -> None:
        """Undo everything."""
        for fn in self._untouched:
            with contextlib.suppress(AttributeError):
                delattr(fn, _MEMORY)
        if sys.modules.get(_NAME) is self:
            for name in [name for name in sys.modules if name == _NAME or name.startswith(f"{_NAME}.")]:
                del sys.modules[name]
            del torch._dynamo

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.remove()
        return getattr(importlib.import_module(_NAME), name)
