"""How much memory is alive, and what of, from what operators return and let go."""

import weakref
from collections.abc import Callable
from dataclasses import astuple, dataclass
from enum import IntEnum
from typing import Any

import torch
from torch.utils._pytree import tree_leaves

from fujimi_parallel.offload import is_outside


class Kind(IntEnum):
    """What a storage is for, by when it was made."""

    #: Before the step.
    STATE = 0
    #: On the way forward, or computed again.
    ACTIVATIONS = 1
    #: On the way backward, and by the optimizer.
    WORKSPACE = 2
    #: For what ranks with other samples or tokens send each other.
    BUFFERS = 3


@dataclass(frozen=True, slots=True)
class Alive:
    """Bytes that are alive at the same time, in the order of `Kind`."""

    state: int = 0
    activations: int = 0
    workspace: int = 0
    buffers: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.state + self.activations + self.workspace + self.buffers

    def __add__(self, other: "Alive") -> "Alive":
        """Both together."""
        return Alive(*(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True)))

    def __sub__(self, other: "Alive") -> "Alive":
        """What is more here."""
        return Alive(*(mine - its for mine, its in zip(astuple(self), astuple(other), strict=True)))


@dataclass(slots=True)
class _Storage:
    """A storage: its size, what it is for, when it was first seen, and its size when the step began."""

    nbytes: int
    kind: Kind
    number: int
    before: int = 0


class MemoryMeter:
    """Counts the bytes of all storages that exist on the device, and remembers the most there were.

    Works on fake tensors as on real ones. Memory that operators take and return inside themselves is not seen.
    """

    def __init__(self) -> None:
        self.peak = Alive()
        self._alive = [0] * len(Kind)
        self._total = 0
        self._seen = self._seen_at_peak = 0
        self._known: dict[int, _Storage] = {}

    @property
    def alive(self) -> Alive:
        """What there is now."""
        return Alive(*self._alive)

    def see(self, outputs: Any, kind: Kind = Kind.ACTIVATIONS) -> None:
        """Count the storages of these tensors that were not seen before."""
        for tensor in tree_leaves(outputs):
            if isinstance(tensor, torch.Tensor) and tensor.device.type != "meta":
                self._see_storage(tensor.untyped_storage(), kind)

    def see_sent(self, tensors: Any) -> None:
        """Hear that what was made since the step began is for communication, and was at the peak."""
        for tensor in tree_leaves(tensors):
            found = self._known.get(tensor.untyped_storage()._cdata) if isinstance(tensor, torch.Tensor) else None
            if found is not None and found.kind is not Kind.STATE:
                before = self.alive
                self._count(found, -1)
                found.kind = Kind.BUFFERS
                self._count(found, 1)
                if found.number <= self._seen_at_peak:
                    self.peak += self.alive - before

    def settle(self) -> None:
        """Take all that is alive for state, and forget the peak: a step begins."""
        for storage in self._known.values():
            storage.kind, storage.before = Kind.STATE, storage.nbytes
        self._alive = [self._total, 0, 0, 0]
        self.restart()

    def restart(self) -> None:
        """Forget the peak, keep what is alive."""
        self.peak, self._seen_at_peak = self.alive, self._seen

    def watch_resizes(self) -> Callable[[], None]:
        """Follow storages that grow or shrink, until what is returned is called."""
        resize = torch.UntypedStorage.resize_

        def resized(storage: torch.UntypedStorage, nbytes: int) -> Any:
            done = resize(storage, nbytes)
            self._see_size(storage)
            return done

        setattr(torch.UntypedStorage, "resize_", resized)  # noqa: B010 - a method that mypy guards
        return lambda: setattr(torch.UntypedStorage, "resize_", resize)

    def _see_storage(self, storage: torch.UntypedStorage, kind: Kind) -> None:
        key = storage._cdata
        if key in self._known or is_outside(storage):
            return
        self._seen += 1
        self._known[key] = _Storage(0, kind, self._seen)
        weakref.finalize(storage, self._forget, key).atexit = False
        self._see_size(storage)

    def _see_size(self, storage: torch.UntypedStorage) -> None:
        found = self._known.get(storage._cdata)
        if found is not None:
            self._count(found, -1)
            found.nbytes = storage.nbytes()
            self._count(found, 1)
            if self._total > self.peak.total:
                self.restart()

    def _forget(self, key: int) -> None:
        self._count(self._known.pop(key), -1)

    def _count(self, storage: _Storage, sign: int) -> None:
        """Add a storage or take it away; by what state grows in a step, it is collected from other ranks."""
        whole = storage.nbytes
        grown = max(whole - storage.before, 0) if storage.kind is Kind.STATE else 0
        self._alive[storage.kind] += sign * (whole - grown)
        self._alive[Kind.BUFFERS] += sign * grown
        self._total += sign * whole
