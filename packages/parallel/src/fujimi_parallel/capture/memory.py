"""How much memory is alive, from what operators return and let go."""

import weakref
from typing import Any

import torch
from torch.utils._pytree import tree_leaves


class MemoryMeter:
    """Counts the bytes of all storages that exist, and remembers the most there were.

    Works on fake tensors as on real ones. Memory that operators take and return inside themselves is not seen.
    """

    def __init__(self) -> None:
        self.alive_bytes = 0
        self.peak_bytes = 0
        self._known: set[int] = set()

    def see(self, outputs: Any) -> None:
        """Count the storages of these tensors that were not seen before."""
        for tensor in tree_leaves(outputs):
            if isinstance(tensor, torch.Tensor):
                self._see_storage(tensor.untyped_storage())

    def restart(self) -> None:
        """Forget the peak, keep what is alive."""
        self.peak_bytes = self.alive_bytes

    def _see_storage(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        self._known.add(key)
        self.alive_bytes += storage.nbytes()
        self.peak_bytes = max(self.peak_bytes, self.alive_bytes)
        weakref.finalize(storage, self._forget, key, storage.nbytes()).atexit = False

    def _forget(self, key: int, nbytes: int) -> None:
        self._known.discard(key)
        self.alive_bytes -= nbytes
