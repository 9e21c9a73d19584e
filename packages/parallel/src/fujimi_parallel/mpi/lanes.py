"""Lanes: the communicators between nodes, one for each rank of a node."""

import itertools
from functools import cached_property

import numpy as np
from mpi4py import MPI

from fujimi_parallel.mpi.arrays import Array
from fujimi_parallel.mpi.shared_memory import Node

#: In which long messages go through MPI: libraries before MPI 4 count up to 2^31 only [B].
PIECE_BYTES = 2**30


class Lanes:
    """The n-th ranks of all nodes form lane n; there are as many lanes as the smallest node has ranks.

    Args:
        ranks: All of them; all make this together.
        node: Those of this node.
    """

    def __init__(self, ranks: MPI.Intracomm, node: Node) -> None:
        self._node = node
        self._rank = ranks.rank
        self.count = ranks.allreduce(node.size, MPI.MIN)
        #: Whether each rank is in a lane.
        self.even = self.count == ranks.allreduce(node.size, MPI.MAX)
        self._mine = ranks.Split(node.rank if node.rank < self.count else MPI.UNDEFINED)

    @cached_property
    def members(self) -> list[list[int]]:
        """Ranks of each lane, by node; all ranks must ask for it, and be in a lane."""
        return self._node.ranks.allgather(self._mine.allgather(self._rank))

    @property
    def nodes(self) -> int:
        """How many nodes there are, for ranks in a lane."""
        return self._mine.size

    def shares(self, length: int) -> list[slice]:
        """Which elements of an array each rank of a node takes to its lane; the same on all nodes."""
        ends = [length * min(lane, self.count) // self.count for lane in range(self._node.size + 1)]
        return [slice(*ends) for ends in itertools.pairwise(ends)]

    def all_reduce(self, sums: Array, op: MPI.Op) -> None:
        """Combine the arrays of this rank's lane, if it is in one."""
        if self._mine != MPI.COMM_NULL:
            for piece in pieces(sums):
                self._mine.Allreduce(MPI.IN_PLACE, piece, op)

    def reduce_scatter(self, sums: Array, op: MPI.Op) -> Array:
        """Combine the row for each rank of the lane over the lane."""
        result = np.empty(sums.shape[1], sums.dtype)
        self._mine.Reduce_scatter_block(sums, result, op)
        return result

    def all_gather(self, mine: Array) -> Array:
        """The arrays of all ranks of the lane, as rows."""
        rows = np.empty((self.nodes, len(mine)), mine.dtype)
        self._mine.Allgather([mine, MPI.BYTE], [rows, MPI.BYTE])
        return rows

    def free(self) -> None:
        """Give the communicator back; all ranks must call it."""
        if self._mine != MPI.COMM_NULL:
            self._mine.Free()


def pieces(data: Array) -> list[Array]:
    """Cut an array into pieces that any MPI library can count, at least one."""
    length = PIECE_BYTES // data.itemsize
    return [data[start : start + length] for start in range(0, max(1, len(data)), length)]
