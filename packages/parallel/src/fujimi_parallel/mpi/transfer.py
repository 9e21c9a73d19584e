"""Messages from one rank to another, which are under way until somebody waits."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from mpi4py import MPI
from torch.futures import Future

from fujimi_parallel.mpi.arrays import back, memory, source, target
from fujimi_parallel.mpi.lanes import pieces
from fujimi_parallel.mpi.work import NO_TIMEOUT


class TransferWork(dist.Work):
    """A message under way.

    Args:
        requests: Of its pieces.
        tensors: What the user sends or receives.
        then: Called with the sender's rank when it is over; holds the memory until then.
    """

    def __init__(
        self, requests: Sequence[MPI.Request], tensors: list[torch.Tensor], then: Callable[[int], None]
    ) -> None:
        super().__init__()
        self._requests = list(requests)
        self._statuses = [MPI.Status() for _ in requests]
        self._tensors = tensors
        self._then: Callable[[int], None] | None = then
        self._finishing = threading.Lock()

    def wait(self, timeout: timedelta = NO_TIMEOUT) -> bool:
        """Wait until the tensor can be used again.

        Raises:
            RuntimeError: If that is not so in time.
        """
        until = time.monotonic() + timeout.total_seconds()
        while timeout and not self.is_completed():
            if time.monotonic() > until:
                raise RuntimeError(f"a message is still under way after {timeout.total_seconds():g} s")
            os.sched_yield()
        with self._finishing:
            if self._then is not None:
                MPI.Request.Waitall(self._requests, self._statuses)
                self._finish()
        return True

    def is_completed(self) -> bool:
        """Whether the tensor can be used again."""
        with self._finishing:
            if self._then is not None and MPI.Request.Testall(self._requests, self._statuses):
                self._finish()
            return self._then is None

    def is_success(self) -> bool:
        """Whether it is over."""
        return self.is_completed()

    def result(self) -> list[torch.Tensor]:
        """What was sent or received."""
        return self._tensors

    def source_rank(self) -> int:
        """Who sent it, once it is over."""
        return self._statuses[0].Get_source()

    _source_rank = source_rank

    def get_future(self) -> Future[Any]:
        """A future that is done when this is; a thread waits for it."""
        future: Future[Any] = Future()

        def finish() -> None:
            self.wait()
            future.set_result(self._tensors)

        threading.Thread(target=finish, daemon=True).start()
        return future

    def _finish(self) -> None:
        if self._then is not None:
            self._then(self.source_rank())
        self._then = None


def send(ranks: MPI.Intracomm, tensors: list[torch.Tensor], target_rank: int, tag: int) -> TransferWork:
    """Start to send a tensor."""
    whole = source(tensors[0])
    requests = [ranks.Isend([piece, MPI.BYTE], target_rank, tag) for piece in pieces(memory(whole))]

    def let_go(_: int, held: torch.Tensor = whole) -> None:
        pass

    return TransferWork(requests, tensors, let_go)


def receive(ranks: MPI.Intracomm, tensors: list[torch.Tensor], source_rank: int, tag: int) -> TransferWork:
    """Start to receive a tensor; from any rank if the source is ``MPI.ANY_SOURCE``."""
    whole = target(tensors[0])
    first, *others = pieces(memory(whole))
    requests = [ranks.Irecv([first, MPI.BYTE], source_rank, tag)]
    if source_rank != MPI.ANY_SOURCE:
        requests += [ranks.Irecv([piece, MPI.BYTE], source_rank, tag) for piece in others]

    def finish(sender: int) -> None:
        if source_rank == MPI.ANY_SOURCE:
            for piece in others:
                ranks.Recv([piece, MPI.BYTE], sender, tag)
        back([whole], tensors)

    return TransferWork(requests, tensors, finish)
