"""Dimension-order routes on a mesh or torus, all messages at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from fujimi_core.machine import NetworkAxis
from numpy.typing import NDArray

Coordinates = NDArray[np.int64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LinkLoads:
    """How many messages cross each directed link.

    Args:
        axes: Axes of the mesh or torus.
        forward: For each axis, an array over the coordinates of the nodes; its entry at a node is the link from there
            to the next node along the axis.
        backward: The same for the link to the previous node.
        hops: Links on the route of each message, shape (messages,).
    """

    axes: tuple[NetworkAxis, ...]
    forward: tuple[Counts, ...]
    backward: tuple[Counts, ...]
    hops: Counts

    def named(self) -> Iterator[tuple[str, Counts]]:
        """Loads of the links of each axis and direction: ``+x``, ``-x`` and so on."""
        for axis, forward, backward in zip(self.axes, self.forward, self.backward, strict=True):
            yield f"+{axis.name}", forward
            yield f"-{axis.name}", backward

    def busiest(self) -> tuple[int, str]:
        """Messages on the busiest link and the axis and direction of it; the first of several."""
        most, name = 0, ""
        for each, counts in self.named():
            if (here := int(counts.max(initial=0))) > most:
                most, name = here, each
        return most, name


def signed_distance(start: Coordinates, stop: Coordinates, axis: NetworkAxis) -> Coordinates:
    """Links to pass along an axis, negative for backward.

    The shorter way round where the axis wraps; forward if both are as long.

    >>> ring = NetworkAxis(name="x", extent=4, wrap=True)
    >>> signed_distance(np.array([0, 0, 3]), np.array([2, 3, 0]), ring).tolist()
    [2, -1, 1]
    """
    distance = stop - start
    if axis.wrap:
        distance %= axis.extent
        distance -= axis.extent * (distance > axis.extent // 2)
    return distance


def route(src: Sequence[Coordinates], dst: Sequence[Coordinates], axes: tuple[NetworkAxis, ...]) -> LinkLoads:
    """Route messages in dimension order, first axis first, and count them on every link.

    A message covers an interval of links on one line of nodes along each axis. Its ends are counted, and a running sum
    along the lines gives the counts of the links: the cost does not grow with the length of the routes.

    Args:
        src: Coordinates of the senders along each axis, shape (messages,) each.
        dst: Coordinates of the receivers.
        axes: Axes, in the order in which they are routed.
    """
    shape = tuple(axis.extent for axis in axes)
    at = np.ravel_multi_index(tuple(src), shape).astype(np.int64, copy=False)
    hops = np.zeros(len(at), np.int64)
    forward, backward = [], []
    for position, axis in enumerate(axes):
        start, stop = src[position], dst[position]
        distance = signed_distance(start, stop, axis)
        stride = int(np.prod(shape[position + 1 :], dtype=np.int64))
        line = at - start * stride
        forward.append(_count(line, start, distance, shape=shape, position=position))
        # The links backward from a node are named by the node that they leave: one further than where they end.
        backward.append(_count(line, stop + 1, -distance, shape=shape, position=position))
        hops += np.abs(distance)
        at = line + stop * stride
    return LinkLoads(axes=axes, forward=tuple(forward), backward=tuple(backward), hops=hops)


def together(loads: Sequence[LinkLoads]) -> LinkLoads:
    """Loads of the messages of several of them."""
    first, *others = loads
    forward, backward, hops = list(first.forward), list(first.backward), [first.hops]
    for each in others:
        forward = [left + right for left, right in zip(forward, each.forward, strict=True)]
        backward = [left + right for left, right in zip(backward, each.backward, strict=True)]
        hops.append(each.hops)
    return LinkLoads(
        axes=first.axes,
        forward=tuple(forward),
        backward=tuple(backward),
        hops=np.concatenate(hops) if others else hops[0],
    )


def _count(line: Counts, first: Counts, length: Counts, *, shape: tuple[int, ...], position: int) -> Counts:
    """Count intervals of ``length`` links from ``first`` on lines of nodes; those of no length do not count."""
    moving = np.flatnonzero(length > 0)
    if not len(moving):
        return np.zeros(shape, np.int64)
    extent = shape[position]
    stride = int(np.prod(shape[position + 1 :], dtype=np.int64))
    nodes = int(np.prod(shape, dtype=np.int64))
    line, first, length = line[moving], first[moving], length[moving]
    begin = first % extent
    end = (first + length) % extent
    ends = np.bincount(line + begin * stride, minlength=nodes) - np.bincount(line + end * stride, minlength=nodes)
    ends += np.bincount(line[end <= begin], minlength=nodes)  # went over the end: it covers the line's first links too
    lines = ends.reshape(-1, extent, stride)
    return np.cumsum(lines, axis=1, out=lines).reshape(shape)
