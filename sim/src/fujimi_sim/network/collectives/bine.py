"""Whom each member of a grid exchanges with, step by step: Bine and binary distances."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def bine_distance(step: int) -> int:
    """How far the partner of an even member is in a step; that of an odd one is as far the other way.

    ``(1 - (-2) ** (step + 1)) / 3``: a sum of powers of -2, so that the longest distance is two thirds of a binary one
    and alternates in direction.

    >>> [bine_distance(step) for step in range(6)]
    [1, -1, 3, -5, 11, -21]

    Source:
        De Sensi et al., Bine Trees: Enhancing Collective Operations by Optimizing Communication Locality, SC25.
    """
    power: int = (-2) ** (step + 1)
    return (1 - power) // 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """One of several trees over a grid that are used at the same time, each for its part of the buffer.

    Args:
        first_axis: Axis on which it makes its first step; the others follow in cyclic order.
        mirrored: Whether it goes the other way round.
    """

    first_axis: int
    mirrored: bool


def lanes_of(count: int, axes: int) -> list[Lane]:
    """Lanes that keep different links busy: first one for each axis, then one for each the other way round.

    >>> [(lane.first_axis, lane.mirrored) for lane in lanes_of(4, 2)]
    [(0, False), (1, False), (0, True), (1, True)]
    """
    return [Lane(first_axis=lane % axes, mirrored=lane // axes % 2 == 1) for lane in range(count)]


def partners(shape: Sequence[int], lane: Lane, *, bine: bool) -> list[NDArray[np.int64]] | None:
    """Partner of each member of a grid in each step of a lane; every pair of partners is mutual.

    Steps take one axis after the other, shortest distance first on each.

    Args:
        shape: Extents of the grid; members are numbered in C order.
        lane: Where it begins.
        bine: Bine distances; binary ones (``xor`` with a power of 2) if not.

    Returns:
        For each of ``log2(members)`` steps an array of shape (members,); None if an extent is no power of 2.
    """
    if any(extent & (extent - 1) for extent in shape):
        return None
    places = np.stack(np.unravel_index(np.arange(math.prod(shape)), shape))
    steps = []
    for axis, step in _schedule(shape, lane.first_axis):
        at = places[axis]
        if bine:
            forward = (at % 2 == 0) != lane.mirrored
            there = (at + np.where(forward, 1, -1) * bine_distance(step)) % shape[axis]
        else:
            ahead = (at ^ (1 << step)) - at
            there = (at + (-ahead if lane.mirrored else ahead)) % shape[axis]
        moved = places.copy()
        moved[axis] = there
        steps.append(np.ravel_multi_index(tuple(moved), tuple(shape)).astype(np.int64))
    return steps


def _schedule(shape: Sequence[int], first: int) -> list[tuple[int, int]]:
    """Axis and step on it of each exchange."""
    left = [extent.bit_length() - 1 for extent in shape]
    made = [0] * len(shape)
    order: list[tuple[int, int]] = []
    axis = first
    while len(order) < sum(left):
        if made[axis] < left[axis]:
            order.append((axis, made[axis]))
            made[axis] += 1
        axis = (axis + 1) % len(shape)
    return order
