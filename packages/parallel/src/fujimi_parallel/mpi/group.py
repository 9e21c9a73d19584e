"""The process group of torch.distributed over MPI."""

# mypy: disable-error-code="override, assignment"
# The stubs of torch list overloads that Python callers do not use, under names that differ from version to version.

import atexit
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from mpi4py import MPI
from torch.distributed import ReduceOp

from fujimi_parallel.mpi import transfer
from fujimi_parallel.mpi.arrays import Array, Numbers, back, memory, parts, source, target
from fujimi_parallel.mpi.reductions import Combination
from fujimi_parallel.mpi.team import Team
from fujimi_parallel.mpi.work import DoneWork, QueuedWork, WorkQueue

Tensors = list[torch.Tensor]
#: For a collective that still runs when the process ends.
_PATIENCE_AT_EXIT_S = 5.0


class MpiGroup(dist.ProcessGroup):
    """Ranks that run collectives over MPI, and through shared memory where they are on one node.

    A collective that the caller waits for runs at once, in the caller's thread. Others run one after the other in a
    thread of the group while the caller goes on, if the MPI library allows threads. Messages between two ranks do not
    wait for collectives.

    Args:
        ranks: A communicator, which becomes the group's own.
        node: Number of this rank's node; None lets MPI find it.
        timeout: How long a rank waits for another of its node; MPI itself waits for ever.
        freed_together: Whether all ranks shut it down in the same order as other groups that they have in common;
            where they may not, communicators and memory live as long as the process.
    """

    def __init__(
        self,
        ranks: MPI.Intracomm,
        *,
        node: int | None = None,
        timeout: timedelta = dist.default_pg_timeout,
        freed_together: bool = True,
    ) -> None:
        super().__init__(ranks.rank, ranks.size)  # type: ignore[call-arg] # the stub lacks this form
        self._rank, self._size = ranks.rank, ranks.size
        self._ranks = ranks
        self._name, self._description = "", "undefined"
        self._node = node
        self._freed_together = freed_together
        self.timeout = timeout
        self._team = Team(ranks, node=node, timeout_s=timeout.total_seconds())
        self._queue = WorkQueue(f"mpi group of {ranks.size} ranks")
        self._threads = MPI.Query_thread() == MPI.THREAD_MULTIPLE
        self._under_way: list[transfer.TransferWork] = []
        atexit.register(self._leave)

    def rank(self) -> int:
        """Of this process, in the group."""
        return self._rank

    def size(self) -> int:
        """Number of ranks."""
        return self._size

    def name(self) -> str:
        """Of the backend."""
        return "mpi"

    getRank, getSize, getBackendName, _get_backend_name = rank, size, name, name  # noqa: N815 # as C++ calls them

    def _set_group_name(self, name: Any) -> None:
        self._name = name

    def _set_group_desc(self, desc: str) -> None:
        self._description = desc

    @property
    def group_name(self) -> Any:
        """By which torch finds the group; C++ would keep it in backends, which this has none of."""
        return self._name

    @property
    def group_desc(self) -> str:
        """What the group is for."""
        return self._description

    @property
    def _device_types(self) -> list[torch.device]:
        return [torch.device("cpu")]

    def allreduce(self, tensors: Tensors, opts: Any = None) -> dist.Work:
        """Replace a tensor by its combination over all ranks."""
        return self._reduce_all("all_reduce", tensors, opts, wanted=True)

    def allreduce_coalesced(self, tensors: Tensors, opts: Any = None) -> dist.Work:
        """Replace tensors by their combinations over all ranks."""
        return self._reduce_all("all_reduce", tensors, opts, wanted=True)

    def reduce(self, tensors: Tensors, opts: Any = None) -> dist.Work:
        """Replace a tensor by its combination over all ranks, on one of them."""
        return self._reduce_all("reduce", tensors, opts, wanted=opts.rootRank == self._rank)

    def _reduce_all(self, name: str, tensors: Tensors, opts: Any, *, wanted: bool) -> dist.Work:
        combinations = [self._combination(opts, tensor) for tensor in tensors]
        places = [source(tensor) for tensor in tensors]

        def run() -> None:
            for place, combination in zip(places, combinations, strict=True):
                numbers = memory(place, combination.numbers)
                self._team.all_reduce(numbers, numbers if wanted else None, combination)
            if wanted:
                back(places, tensors)

        return self._issue(name, run, tensors, opts)

    def broadcast(self, tensors: Tensors, opts: Any = None) -> dist.Work:
        """Give all ranks a tensor of one."""
        places = [source(tensor) for tensor in tensors]

        def run() -> None:
            for place in places:
                self._team.broadcast(memory(place), opts.rootRank)
            back(places, tensors)

        return self._issue("broadcast", run, tensors, opts)

    def allgather(self, outputs: list[Tensors], inputs: Tensors, opts: Any = None) -> dist.Work:
        """Give all ranks a tensor of each; their sizes may differ."""
        mine = [source(tensor) for tensor in inputs]
        places = [[target(output) for output in each] for each in outputs]

        def run() -> None:
            for tensor, each, output in zip(mine, places, outputs, strict=True):
                self._team.all_gather(memory(tensor), [memory(place) for place in each])
                back(each, output)

        return self._issue("all_gather", run, outputs, opts)

    def allgather_coalesced(self, outputs: list[Tensors], inputs: Tensors, opts: Any = None) -> dist.Work:
        """Do `allgather` for several tensors; the outputs are those of the first rank, of the second, and so on."""
        return self.allgather([list(each) for each in zip(*outputs, strict=True)], inputs, opts)

    def all_gather_single(self, output: torch.Tensor, tensor: torch.Tensor, opts: Any = None) -> dist.Work:
        """Give all ranks the tensors of all as one; the input may lie in the output, at its place."""
        return self.all_gather_single_coalesced([output], [tensor], opts)

    def all_gather_single_coalesced(self, outputs: Tensors, inputs: Tensors, opts: Any = None) -> dist.Work:
        """Do `all_gather_single` for several tensors."""
        mine = [source(tensor) for tensor in inputs]
        places = [target(output) for output in outputs]

        def run() -> None:
            for tensor, place in zip(mine, places, strict=True):
                self._team.all_gather(memory(tensor), parts(memory(place), self._size))
            back(places, outputs)

        return self._issue("all_gather", run, outputs, opts)

    def reduce_scatter(self, outputs: Tensors, inputs: list[Tensors], opts: Any = None) -> dist.Work:
        """Combine, for each rank, the tensors that all ranks have for it; their sizes may differ."""
        mine = [[source(tensor) for tensor in each] for each in inputs]
        return self._reduce_scatter(outputs, lambda i, numbers: [memory(each, numbers) for each in mine[i]], opts)

    def reduce_scatter_single(self, output: torch.Tensor, tensor: torch.Tensor, opts: Any = None) -> dist.Work:
        """Combine, for each rank, its part of a tensor of all ranks."""
        return self.reduce_scatter_single_coalesced([output], [tensor], opts)

    def reduce_scatter_single_coalesced(self, outputs: Tensors, inputs: Tensors, opts: Any = None) -> dist.Work:
        """Do `reduce_scatter_single` for several tensors."""
        mine = [source(tensor) for tensor in inputs]
        return self._reduce_scatter(outputs, lambda i, numbers: parts(memory(mine[i], numbers), self._size), opts)

    def _reduce_scatter(
        self, outputs: Tensors, arrays: Callable[[int, Numbers], Sequence[Array]], opts: Any
    ) -> dist.Work:
        combinations = [self._combination(opts, output) for output in outputs]
        places = [target(output) for output in outputs]

        def run() -> None:
            for i, (place, combination) in enumerate(zip(places, combinations, strict=True)):
                mine, out = arrays(i, combination.numbers), memory(place, combination.numbers)
                self._team.reduce_scatter(mine, out, combination)
            back(places, outputs)

        return self._issue("reduce_scatter", run, outputs, opts)

    def gather(self, outputs: list[Tensors], inputs: Tensors, opts: Any = None) -> dist.Work:
        """Give one rank the tensors of all."""
        received = outputs[0] if opts.rootRank == self._rank else []
        return self._exchange("gather", {opts.rootRank: inputs[0]}, dict(enumerate(received)), opts)

    def scatter(self, outputs: Tensors, inputs: list[Tensors], opts: Any = None) -> dist.Work:
        """Give each rank a tensor of one."""
        sent = inputs[0] if opts.rootRank == self._rank else []
        return self._exchange("scatter", dict(enumerate(sent)), {opts.rootRank: outputs[0]}, opts)

    def alltoall(self, outputs: Tensors, inputs: Tensors, opts: Any = None) -> dist.Work:
        """Give each rank a tensor of each; their sizes may differ."""
        return self._exchange("all_to_all", dict(enumerate(inputs)), dict(enumerate(outputs)), opts)

    def _exchange(
        self, name: str, sent: dict[int, torch.Tensor], received: dict[int, torch.Tensor], opts: Any
    ) -> dist.Work:
        outputs = list(received.values())
        mine = [source(tensor) for tensor in sent.values()]
        places = [target(output) for output in outputs]

        def run() -> None:
            self._team.exchange(
                dict(zip(sent, map(memory, mine), strict=True)), dict(zip(received, map(memory, places), strict=True))
            )
            back(places, outputs)

        return self._issue(name, run, outputs, opts)

    def all_to_all_single(
        self,
        output: torch.Tensor,
        tensor: torch.Tensor,
        output_splits: Sequence[int] | None = None,
        input_splits: Sequence[int] | None = None,
        opts: Any = None,
    ) -> dist.Work:
        """Give each rank some rows of each; the same number if no splits are given."""
        mine, place = source(tensor), target(output)

        def run() -> None:
            sent = parts(memory(mine), self._size, input_splits)
            self._team.exchange(dict(enumerate(sent)), dict(enumerate(parts(memory(place), self._size, output_splits))))
            back([place], [output])

        return self._issue("all_to_all", run, [output], opts)

    def barrier(self, opts: Any = None) -> dist.Work:
        """Wait for all ranks."""
        return self._issue("barrier", self._team.barrier, [], opts)

    def send(self, tensors: Tensors, target_rank: int, tag: int) -> dist.Work:
        """Start to send a tensor."""
        return self._remember(transfer.send(self._ranks, tensors, target_rank, tag))

    def recv(self, tensors: Tensors, source_rank: int, tag: int) -> dist.Work:
        """Start to receive a tensor."""
        return self._remember(transfer.receive(self._ranks, tensors, source_rank, tag))

    def recv_anysource(self, tensors: Tensors, tag: int) -> dist.Work:
        """Start to receive a tensor from any rank."""
        return self._remember(transfer.receive(self._ranks, tensors, MPI.ANY_SOURCE, tag))

    def set_timeout(self, timeout: timedelta) -> None:
        """Say how long a rank waits for another of its node from now on."""
        self.timeout = timeout
        self._team.set_timeout(timeout.total_seconds())

    def split(self, number: int) -> "MpiGroup":
        """Make groups of the ranks that give the same number; all ranks must call it."""
        ranks = self._ranks.Split(number)
        assert isinstance(ranks, MPI.Intracomm)
        return MpiGroup(ranks, node=self._node, timeout=self.timeout)

    def shutdown(self) -> None:
        """Finish what is queued, and give communicators and memory back; all ranks must call it."""
        atexit.unregister(self._leave)
        self._queue.stop()
        if self._freed_together:
            self._team.free()

    # names of older torch versions
    _allgather_base = all_gather_single
    allgather_into_tensor_coalesced = all_gather_single_coalesced
    _reduce_scatter_base = reduce_scatter_single
    reduce_scatter_tensor_coalesced = reduce_scatter_single_coalesced
    alltoall_base = all_to_all_single

    def _combination(self, opts: Any, tensor: torch.Tensor) -> Combination:
        return Combination(ReduceOp.SUM if opts is None else opts.reduceOp, tensor.dtype, self._size)

    def _issue(self, name: str, run: Callable[[], None], result: Any, opts: Any) -> dist.Work:
        """Run a collective now if the caller waits for it anyway, else behind those that are queued."""
        wanted_now = not self._threads or not getattr(opts, "asyncOp", True)
        try:
            if wanted_now and self._queue.run_now(run):
                return DoneWork(result)
        except Exception as wrong:
            raise RuntimeError(f"{self._full_name(name)} failed: {wrong}") from wrong
        work = QueuedWork(run, name=self._full_name(name), result=result, queue=self._queue)
        self._queue.put(work)
        return work

    def _full_name(self, operation: str) -> str:
        return f"{operation} on rank {self._rank} of group {self._name} ({self._size} ranks)"

    def _remember(self, work: transfer.TransferWork) -> transfer.TransferWork:
        """Hold the memory of messages under way, whatever the caller does with their works."""
        self._under_way = [each for each in self._under_way if not each.is_completed()]
        self._under_way.append(work)
        return work

    def _leave(self) -> None:
        """End the thread before the interpreter does."""
        self._team.close()
        self._queue.stop(patience_s=_PATIENCE_AT_EXIT_S)
