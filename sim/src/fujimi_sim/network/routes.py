"""Dimension-order routes on a mesh or torus, all messages at once."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from fujimi_core.machine import NetworkAxis
from fujimi_core.network import Links, Routes
from numpy.typing import NDArray

Coordinates = NDArray[np.int64]
Counts = NDArray[np.int64]


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


def route(
    src: Sequence[Coordinates],
    dst: Sequence[Coordinates],
    axes: tuple[NetworkAxis, ...],
    *,
    bandwidth_bytes_per_s: float,
    order: Sequence[int] | None = None,
) -> Routes:
    """Route messages in dimension order, first axis first, and count them on every link.

    A message covers an interval of links on one line of nodes along each axis. Its ends are counted, and a running sum
    along the lines gives the counts of the links: the cost does not grow with the length of the routes.

    Args:
        src: Coordinates of the senders along each axis, shape (messages,) each.
        dst: Coordinates of the receivers.
        axes: Axes, in the order in which they are routed unless ``order`` says otherwise.
        bandwidth_bytes_per_s: One link.
        order: Positions of the axes in the order in which they are routed.

    Returns:
        Links ``+x``, ``-x`` and so on, each an array over the coordinates of the nodes that the links leave.
    """
    shape = tuple(axis.extent for axis in axes)
    at = np.ravel_multi_index(tuple(src), shape).astype(np.int64, copy=False)
    hops = np.zeros(len(at), np.int64)
    links: dict[int, list[Links]] = {}
    for position in order if order is not None else range(len(axes)):
        axis = axes[position]
        start, stop = src[position], dst[position]
        distance = signed_distance(start, stop, axis)
        stride = int(np.prod(shape[position + 1 :], dtype=np.int64))
        line = at - start * stride
        forward = _count(line, start, distance, shape=shape, position=position)
        # The links backward from a node are named by the node that they leave: one further than where they end.
        backward = _count(line, stop + 1, -distance, shape=shape, position=position)
        links[position] = [
            Links(name=f"{sign}{axis.name}", messages=messages, bandwidth_bytes_per_s=bandwidth_bytes_per_s)
            for sign, messages in (("+", forward), ("-", backward))
        ]
        hops += np.abs(distance)
        at = line + stop * stride
    return Routes(links=tuple(link for position in sorted(links) for link in links[position]), hops=hops)


def together(parts: Sequence[Routes]) -> Routes:
    """Routes of the messages of several parts over the same links."""
    if len(parts) == 1:
        return parts[0]
    links = [
        replace(same[0], messages=np.sum([each.messages for each in same], axis=0))
        for same in zip(*(part.links for part in parts), strict=True)
    ]
    return Routes(links=tuple(links), hops=np.concatenate([part.hops for part in parts]))


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
