"""Collectives of the ranks of one node, through the memory that they share.

Everything moves in blocks that fit into a slot and stay in cache. Each element is combined in the order of ranks,
whatever the length of the message and the place of the element in it.
"""

from collections.abc import Callable, Sequence

import numpy as np

from fujimi_parallel.mpi.arrays import Array
from fujimi_parallel.mpi.shared_memory import SLOT_BYTES, Node

#: Makes one array of those of all ranks.
Combine = Callable[[Sequence[Array], Array], None]
#: Up to which every rank combines everything by itself, which takes one barrier instead of two [B].
SMALL_BYTES = 64 * 1024


def all_reduce(node: Node, mine: Array, out: Array | None, combine: Combine) -> None:
    """Combine the arrays of all ranks.

    Args:
        node: The ranks.
        mine: Of this rank.
        out: Gets the result, on ranks that want it; may be ``mine``.
        combine: How.
    """
    if mine.nbytes <= SMALL_BYTES:
        parts = [slot[: len(mine)] for slot in node.next_slot(mine.dtype)]
        np.copyto(parts[node.rank], mine)
        node.barrier()
        if out is not None:
            combine(parts, out)
        return
    length = SLOT_BYTES // mine.itemsize
    blocks = [slice(start, min(start + length, len(mine))) for start in range(0, len(mine), length)]
    slots = [[slot[: block.stop - block.start] for slot in node.next_slot(mine.dtype)] for block in blocks]
    # in the same step one block comes in, the one before it is combined, and the one before that goes out
    for step in range(len(blocks) + 2):
        if step < len(blocks):
            _give_shares(node, mine[blocks[step]], slots[step][node.rank])
        if 0 < step <= len(blocks):
            _combine_share(node, mine[blocks[step - 1]], slots[step - 1], combine)
        if step > 1 and out is not None:
            _take_shares(slots[step - 2], out[blocks[step - 2]])
        if step <= len(blocks):
            node.barrier()


def _give_shares(node: Node, mine: Array, slot: Array) -> None:
    """Show the other ranks what they combine; nobody reads what this rank does."""
    share = _shares(len(mine), node.size)[node.rank]
    np.copyto(slot[: share.start], mine[: share.start])
    np.copyto(slot[share.stop :], mine[share.stop :])


def _combine_share(node: Node, mine: Array, parts: Sequence[Array], combine: Combine) -> None:
    """Combine this rank's share of a block into its slot."""
    share = _shares(len(mine), node.size)[node.rank]
    given = [part[share] for part in parts]
    out, given[node.rank] = given[node.rank], mine[share]
    combine(given, out)


def _take_shares(parts: Sequence[Array], out: Array) -> None:
    for part, share in zip(parts, _shares(len(out), len(parts)), strict=True):
        np.copyto(out[share], part[share])


def _shares(length: int, ranks: int) -> list[slice]:
    return [slice(length * rank // ranks, length * (rank + 1) // ranks) for rank in range(ranks)]


def reduce_scatter(node: Node, mine: Sequence[Array], out: Array, combine: Combine) -> None:
    """Combine, for each rank, the arrays that all ranks have for it.

    Args:
        node: The ranks.
        mine: What this rank has for each.
        out: Gets the result for this rank.
        combine: How.
    """
    length = SLOT_BYTES // mine[0].itemsize // node.size
    places = [slice(length * rank, length * (rank + 1)) for rank in range(node.size)]
    for start in range(0, max(map(len, mine)), length):
        slots = node.next_slot(mine[0].dtype)
        for place, array in zip(places, mine, strict=True):
            some = array[start : start + length]
            np.copyto(slots[node.rank][place][: len(some)], some)
        node.barrier()
        result = out[start : start + length]
        if len(result):
            combine([slot[places[node.rank]][: len(result)] for slot in slots], result)


def all_gather(node: Node, mine: Array, outs: Sequence[Array]) -> None:
    """Give every rank the arrays of all.

    Args:
        node: The ranks.
        mine: Of this rank; may be the one in ``outs``.
        outs: By rank; their lengths may differ.
    """
    length = SLOT_BYTES // mine.itemsize
    for start in range(0, max(map(len, outs)), length):
        slots = node.next_slot(mine.dtype)
        some = mine[start : start + length]
        np.copyto(slots[node.rank][: len(some)], some)
        node.barrier()
        for slot, out in zip(slots, outs, strict=True):
            result = out[start : start + length]
            np.copyto(result, slot[: len(result)])


def broadcast(node: Node, data: Array, root: int) -> None:
    """Give every rank the array of one.

    Args:
        node: The ranks.
        data: Of this rank; replaced on all but the root.
        root: Who has it.
    """
    length = SLOT_BYTES // data.itemsize
    for start in range(0, len(data), length):
        some = data[start : start + length]
        place = node.next_slot(data.dtype)[root][: len(some)]
        if node.rank == root:
            np.copyto(place, some)
        node.barrier()
        if node.rank != root:
            np.copyto(some, place)
