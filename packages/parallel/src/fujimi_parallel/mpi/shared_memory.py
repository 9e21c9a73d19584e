"""Memory that the ranks of one node share, and how they wait for each other there."""

import os
from typing import Any

import numpy as np
from mpi4py import MPI

from fujimi_parallel.mpi.arrays import Array
from fujimi_parallel.mpi.waiting import SharedCounter

#: Of one slot of one rank [B].
SLOT_BYTES = 1024 * 1024
#: Slots of a rank: one is written, one summed and one read at the same time.
SLOTS = 3
#: Before each rank's slots: how many barriers it has come to.
_HEADER_BYTES = 4096


class LateRankError(RuntimeError):
    """A rank did not come to a collective in time."""


class Node:
    """Ranks of a group that are on one node, with 3 MiB of shared memory each.

    Args:
        ranks: Communicator of the ranks of this node; it becomes the node's own.
        timeout_s: How long to wait for a rank.
    """

    def __init__(self, ranks: MPI.Intracomm, *, timeout_s: float) -> None:
        self.ranks = ranks
        self.rank, self.size = ranks.rank, ranks.size
        self.timeout_s = timeout_s
        self._info = MPI.Info.Create({"alloc_shared_noncontig": "true"})  # each rank's memory close to it
        self._window = MPI.Win.Allocate_shared(_HEADER_BYTES + SLOTS * SLOT_BYTES, 1, self._info, ranks)
        self._memory = [self._memory_of(rank) for rank in range(self.size)]
        self._by_kind: dict[np.dtype[np.generic], list[list[Array]]] = {}
        self._slots_used = 0
        self._barriers = 0
        self._closing = False
        self._window.Lock_all()
        self._memory[self.rank][:_HEADER_BYTES] = bytes(_HEADER_BYTES)
        self._window.Sync()
        ranks.Barrier()
        cores: set[int] = set().union(*ranks.allgather(os.sched_getaffinity(0)))
        self._arrivals = [
            SharedCounter(memory[:_HEADER_BYTES], self._window.Sync, own_core=self.size <= len(cores))
            for memory in self._memory
        ]

    def _memory_of(self, rank: int) -> memoryview:
        buffer: Any = self._window.Shared_query(rank)[0]
        return memoryview(buffer).cast("B")

    def next_slot(self, kind: np.dtype[np.generic]) -> list[Array]:
        """The next slot of each rank, which nobody reads any more.

        That holds because a slot comes back after two others, and at least one barrier lies between the use of
        consecutive slots.
        """
        if kind not in self._by_kind:
            self._by_kind[kind] = [self._slots(kind, _HEADER_BYTES + slot * SLOT_BYTES) for slot in range(SLOTS)]
        self._slots_used += 1
        return self._by_kind[kind][self._slots_used % SLOTS]

    def _slots(self, kind: np.dtype[np.generic], start: int) -> list[Array]:
        return [np.frombuffer(memory, kind, SLOT_BYTES // kind.itemsize, start) for memory in self._memory]

    def barrier(self) -> None:
        """Wait for all ranks of the node; what each wrote before it, the others read after it.

        Raises:
            LateRankError: If a rank does not come in time.
        """
        self._barriers += 1
        self._arrivals[self.rank].set(self._barriers)
        for rank, arrivals in enumerate(self._arrivals):
            if not arrivals.reached(self._barriers):
                self._wait_for(rank)
        self._window.Sync()

    def _wait_for(self, rank: int) -> None:
        come = self._arrivals[rank].wait(self._barriers, timeout_s=self.timeout_s, given_up=lambda: self._closing)
        if not come:
            why = "the group was closed" if self._closing else f"it has not come within {self.timeout_s:g} s"
            raise LateRankError(f"waiting for rank {rank} of the {self.size} of this node: {why}")

    def close(self) -> None:
        """Let go whoever waits."""
        self._closing = True

    def free(self) -> None:
        """Give the memory back; all ranks of the node must call it."""
        self._window.Unlock_all()
        self._by_kind.clear()
        for arrivals in self._arrivals:
            arrivals.release()
        self._arrivals.clear()
        for memory in self._memory:
            memory.release()
        self._memory.clear()
        self._window.Free()
        self._info.Free()
        self.ranks.Free()
