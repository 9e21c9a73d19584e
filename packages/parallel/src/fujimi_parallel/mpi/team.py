"""Ranks of a group on one or several nodes, and the collectives that combine both kinds of ways."""

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from mpi4py import MPI

from fujimi_parallel.mpi import node_collectives as on_node
from fujimi_parallel.mpi.arrays import Array
from fujimi_parallel.mpi.lanes import PIECE_BYTES, Lanes, pieces
from fujimi_parallel.mpi.reductions import Combination
from fujimi_parallel.mpi.shared_memory import Node


class Team:
    """The ranks of a communicator.

    What is shared on a node, and the communicators between nodes, are made by the first collective that needs them. On
    several nodes reductions have two levels: each of a node's ranks combines a share of the elements over its node, MPI
    combines it with the other nodes' (in an order of its own), and the shares are gathered.

    Args:
        ranks: The communicator; it becomes the team's own.
        node: Number of this rank's node, to be found by MPI if None.
        timeout_s: How long to wait for a rank of the same node.
    """

    def __init__(self, ranks: MPI.Intracomm, *, node: int | None, timeout_s: float) -> None:
        self.ranks = ranks
        self._timeout_s = timeout_s
        self._colour = node

    @cached_property
    def node(self) -> Node:
        """The ranks on this node."""
        here = self.ranks.Split_type(MPI.COMM_TYPE_SHARED) if self._colour is None else self.ranks.Split(self._colour)
        assert isinstance(here, MPI.Intracomm)
        return Node(here, timeout_s=self._timeout_s)

    @cached_property
    def on_one_node(self) -> bool:
        """Whether all ranks share memory."""
        return self.node.size == self.ranks.size

    @cached_property
    def lanes(self) -> Lanes:
        """The ways between the nodes."""
        return Lanes(self.ranks, self.node)

    @cached_property
    def _apart(self) -> MPI.Intracomm:
        """The same ranks again: what `exchange` sends cannot be mistaken for what a user sends."""
        return self.ranks.Dup()

    def barrier(self) -> None:
        """Wait for all ranks."""
        if self.on_one_node:
            self.node.barrier()
        else:
            self.ranks.Barrier()

    def all_reduce(self, mine: Array, out: Array | None, combination: Combination) -> None:
        """Combine the arrays of all ranks; ``out`` gets the result on ranks that want it, and may be ``mine``."""
        if self.on_one_node:
            on_node.all_reduce(self.node, mine, out, combination.whole)
            return
        shares = self.lanes.shares(len(mine))
        sums = np.empty(len(mine[shares[self.node.rank]]), combination.numbers.summed)
        on_node.reduce_scatter(self.node, [mine[share] for share in shares], sums, combination.partial)
        self.lanes.all_reduce(sums, combination.between_nodes)
        result = np.empty(len(sums), combination.numbers.stored)
        combination.finish(sums, result)
        out = np.empty_like(mine) if out is None else out
        on_node.all_gather(self.node, result, [out[share] for share in shares])

    def reduce_scatter(self, mine: Sequence[Array], out: Array, combination: Combination) -> None:
        """Combine, for each rank, the arrays that all ranks have for it."""
        if self.on_one_node:
            on_node.reduce_scatter(self.node, mine, out, combination.whole)
        elif self.lanes.even and len({len(array) for array in mine}) == 1:
            members = self.lanes.members
            sums = np.empty((len(members[0]), len(out)), combination.numbers.summed)
            for row, ranks in zip(sums, zip(*members, strict=True), strict=True):
                on_node.reduce_scatter(self.node, [mine[rank] for rank in ranks], row, combination.partial)
            result = self.lanes.reduce_scatter(sums, combination.between_nodes)
            combination.finish(result, out)
        else:
            everything = np.concatenate(mine)
            self.all_reduce(everything, everything, combination)
            start = sum(map(len, mine[: self.ranks.rank]))
            np.copyto(out, everything[start : start + len(out)])

    def all_gather(self, mine: Array, outs: Sequence[Array]) -> None:
        """Give every rank the arrays of all; ``mine`` may be the one in ``outs``, their lengths may differ."""
        if self.on_one_node:
            on_node.all_gather(self.node, mine, outs)
        elif self.lanes.even and len({len(array) for array in outs}) == 1:
            length = max(1, PIECE_BYTES // mine.itemsize // self.lanes.nodes)
            for start in range(0, len(mine), length):
                some = slice(start, start + length)
                gathered = self.lanes.all_gather(mine[some])
                for row, ranks in zip(gathered, zip(*self.lanes.members, strict=True), strict=True):
                    on_node.all_gather(self.node, row, [outs[rank][some] for rank in ranks])
        else:
            np.copyto(outs[self.ranks.rank], mine)
            for rank, out in enumerate(outs):
                self.broadcast(out, rank)

    def broadcast(self, data: Array, root: int) -> None:
        """Give every rank the array of one."""
        if self.on_one_node:
            on_node.broadcast(self.node, data, root)
            return
        for piece in pieces(data):
            self.ranks.Bcast([piece, MPI.BYTE], root)

    def exchange(self, sent: Mapping[int, Array], received: Mapping[int, Array]) -> None:
        """Send an array to each of some ranks, and receive one from each of some; lengths fit on both sides."""
        me, ranks = self.ranks.rank, self.ranks.size
        if me in received:
            np.copyto(received[me], sent[me])
        requests: list[MPI.Request] = []
        for distance in range(1, ranks):  # not all to the same rank first
            source, target = (me - distance) % ranks, (me + distance) % ranks
            if source in received:
                requests += [self._apart.Irecv([piece, MPI.BYTE], source) for piece in pieces(received[source])]
            if target in sent:
                requests += [self._apart.Isend([piece, MPI.BYTE], target) for piece in pieces(sent[target])]
        MPI.Request.Waitall(requests)

    def set_timeout(self, timeout_s: float) -> None:
        """Say how long to wait for a rank of the same node from now on."""
        self._timeout_s = timeout_s
        if "node" in self.__dict__:
            self.node.timeout_s = timeout_s

    def close(self) -> None:
        """Let go whoever waits on this node."""
        if "node" in self.__dict__:
            self.node.close()

    def free(self) -> None:
        """Give memory and communicators back; all ranks must call it."""
        made = self.__dict__
        if "lanes" in made:
            self.lanes.free()
        if "node" in made:
            self.node.free()
        if "_apart" in made:
            self._apart.Free()
        self.ranks.Free()
