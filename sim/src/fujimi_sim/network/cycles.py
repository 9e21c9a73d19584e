"""Closed ways through boxes of nodes, one hop at a time."""

import numpy as np
from numpy.typing import NDArray

from fujimi_sim.network.allocation import Extents, snake

#: Nodes of a ring of which any two are neighbours.
TRIANGLE = 3


def closes(nodes: int, *, triangle: bool) -> bool:
    """Whether a ladder of so many nodes is a cycle of single hops.

    A grid has cycles of even length only, unless a ring of odd length is one of its axes.
    """
    return triangle or nodes % 2 == 0 or nodes == 1


def ladder(extents: Extents, nodes: int, *, triangle: bool = False) -> NDArray[np.int64]:
    """A way through a box and back beside it: out along a snake on one side of an axis of two nodes, back on the other.

    An even number of nodes makes a cycle of single hops. So does an odd one with a triangle: the middle node of its
    first pass is left out. Without one, the last node is two hops from the first, because no odd cycle exists.

    >>> ladder((3,), 6).T.tolist()
    [[0, 0], [0, 1], [0, 2], [1, 2], [1, 1], [1, 0]]

    Args:
        extents: Of the box beside the axis of two nodes; its first nodes in snake order are used.
        nodes: At most twice as many as the box has.
        triangle: Whether the last axis is a ring of three.

    Returns:
        Coordinates on the axis of two and in the box, shape (1 + axes, nodes).
    """
    path = snake(extents)
    if nodes == TRIANGLE and triangle:
        return np.vstack([np.zeros((1, nodes), np.int64), path[:, :nodes]])
    steps = np.arange((nodes + 1) // 2)
    out_and_back = np.concatenate([steps, steps[::-1]])
    side = np.repeat([0, 1], len(steps))
    way = np.vstack([side, path[:, out_and_back]])
    if nodes % 2:
        way = np.delete(way, 1 if triangle and nodes > TRIANGLE else -1, axis=1)
    return way


def prism(nodes: int) -> NDArray[np.int64]:
    """A cycle of single hops through the fewest rings of three that stand in a row.

    Out along the first nodes of the rings and back along the second. A third node of the first ring is added between
    these two; those of two rings side by side are added between their second nodes.

    >>> prism(4).T.tolist()
    [[0, 0], [0, 1], [1, 1], [1, 0]]
    >>> prism(5).T.tolist()
    [[0, 0], [0, 1], [1, 1], [1, 0], [2, 0]]

    Args:
        nodes: At least 1.

    Returns:
        Coordinates in the ring and along the row, shape (2, nodes).
    """
    rings = -(-nodes // TRIANGLE)
    if rings == 1:
        return np.array([np.arange(nodes), np.zeros(nodes, np.int64)])
    thirds = nodes - 2 * rings
    first = thirds % 2
    back: list[tuple[int, int]] = [(1, ring) for ring in reversed(range(thirds, rings))]
    for ring in range(thirds - 2, first - 1, -2):
        back += [(1, ring + 1), (2, ring + 1), (2, ring), (1, ring)]
    if first:
        back += [(1, 0), (2, 0)]
    return np.array([(0, ring) for ring in range(rings)] + back).T
