"""How much memory is alive, from what operators return and let go."""

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from fujimi_parallel.offload import is_outside


class MemoryMeter:
    """Counts the bytes of all storages that exist on the device, and remembers the most there were.

    Works on fake tensors as on real ones. Memory that operators take and return inside themselves is not seen.
    """

    def __init__(self) -> None:
        self.alive_bytes = 0
        self.peak_bytes = 0
        self._known: dict[int, int] = {}

    def see(self, outputs: Any) -> None:
        """Count the storages of these tensors that were not seen before."""
        for tensor in tree_leaves(outputs):
            if isinstance(tensor, torch.Tensor) and tensor.device.type != "meta":
                self._see_storage(tensor.untyped_storage())

    def restart(self) -> None:
        """Forget the peak, keep what is alive."""
        self.peak_bytes = self.alive_bytes

    def watch_resizes(self) -> Callable[[], None]:
        """Follow storages that grow or shrink, until what is returned is called."""
        resize = torch.UntypedStorage.resize_

        def resized(storage: torch.UntypedStorage, nbytes: int) -> Any:
            done = resize(storage, nbytes)
            self._see_size(storage)
            return done

        setattr(torch.UntypedStorage, "resize_", resized)  # noqa: B010 - a method that mypy guards
        return lambda: setattr(torch.UntypedStorage, "resize_", resize)

    def _see_storage(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known or is_outside(storage):
            return
        self._known[key] = 0
        weakref.finalize(storage, self._forget, key).atexit = False
        self._see_size(storage)

    def _see_size(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata in self._known:
            self.alive_bytes += storage.nbytes() - self._known[storage._cdata]
            self._known[storage._cdata] = storage.nbytes()
            self.peak_bytes = max(self.peak_bytes, self.alive_bytes)

    def _forget(self, key: int) -> None:
        self.alive_bytes -= self._known.pop(key)
