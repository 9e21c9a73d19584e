"""Which box of a mesh or torus a job gets, and in which order ranks fill it."""

import itertools
import math
from collections.abc import Sequence
from functools import reduce

import numpy as np
from fujimi_core.errors import MachineError
from fujimi_core.machine import Machine, NetworkAxis
from numpy.typing import NDArray

Extents = tuple[int, ...]


def box(axes: Sequence[NetworkAxis], nodes: int, *, live: NDArray[np.bool_] | None = None) -> Extents:
    """Extents of the box that a job gets.

    Of all boxes with exactly so many nodes the one that fills whole units, then has the largest bisection, then keeps
    the wrap of most axes, then has the smallest diameter. If there is none, the box of whole units that holds the job
    with the smallest product of nodes and diameter + 1: one percent of idle nodes is worth one percent of distance.

    >>> fugaku = [NetworkAxis(name=n, extent=e, wrap=n in "xyzb", unit=n in "abc")
    ...           for n, e in zip("xyzabc", (24, 23, 24, 2, 3, 2))]
    >>> box(fugaku, 13_824)
    (24, 2, 24, 2, 3, 2)
    >>> box(fugaku, 64)
    (2, 2, 2, 2, 2, 2)

    Args:
        axes: Axes of the whole machine.
        nodes: Nodes of the job.
        live: Which nodes a job can use, over the coordinates; only these count, None for all of them. Boxes begin at
            the origin.

    Raises:
        ValueError: If the machine does not have so many.
    """
    volumes = _each_box(np.multiply, [np.arange(1, axis.extent + 1) for axis in axes])
    usable = volumes if live is None else _sums_from_origin(live).ravel()
    if not 1 <= nodes <= usable[-1]:
        raise ValueError(f"{nodes} nodes do not fit axes with {usable[-1]} nodes")
    whole, diameters = _whole_units(axes), _diameters(axes)
    exact = np.flatnonzero(usable == nodes)
    if len(exact):
        keys = (diameters, -_wraps(axes), -_bisections(axes, volumes), ~whole)  # the last one counts first
        best = exact[np.lexsort([key[exact] for key in keys])[0]]
    else:
        unit_nodes = math.prod(axis.extent for axis in axes if axis.unit)
        holds = np.flatnonzero((usable >= nodes) & (whole | (nodes < unit_nodes)))
        best = holds[np.argmin((volumes * (diameters + 1))[holds])]
    shape = tuple(axis.extent for axis in axes)
    return tuple(int(index) + 1 for index in np.unravel_index(best, shape))


def box_axes(axes: Sequence[NetworkAxis], extents: Extents) -> tuple[NetworkAxis, ...]:
    """Axes of a box: those that are shorter than the machine's lose their wrap, so that no message leaves the box."""
    return tuple(
        axis if axis.extent == extent else NetworkAxis(name=axis.name, extent=extent, wrap=False, unit=False)
        for axis, extent in zip(axes, extents, strict=True)
    )


def check_shape(machine: Machine, nodes: int, shape: Extents) -> None:
    """Refuse a shape that is not one of so many nodes.

    Raises:
        MachineError: If an extent is below 1, or their product is another number.
    """
    if not shape or min(shape) < 1 or math.prod(shape) != nodes:
        raise MachineError(
            f"machine {machine.name!r}: {nodes} nodes cannot have the shape {by(shape)}: extents are at least 1"
            f" and their product, here {math.prod(shape) if shape else 0}, is the number of nodes"
        )


def by(shape: Sequence[int]) -> str:
    """A shape as people write it.

    >>> by((48, 6, 48))
    '48x6x48'
    """
    return "x".join(map(str, shape)) or "()"


def spread(shape: Extents, extents: Extents) -> list[Extents]:
    """Boxes that have a shape: its extents on some of the axes in their order, 1 on the others.

    >>> spread((4, 2), (4, 3, 2))
    [(4, 1, 2), (4, 2, 1)]

    Args:
        shape: What is asked for.
        extents: What there is; boxes that do not fit are left out.

    Returns:
        Each box once; none if there are more extents than axes.
    """
    boxes = set()
    for chosen in itertools.combinations(range(len(extents)), len(shape)):
        found = [1] * len(extents)
        for axis, extent in zip(chosen, shape, strict=True):
            found[axis] = extent
        if all(part <= whole for part, whole in zip(found, extents, strict=True)):
            boxes.add(tuple(found))
    return sorted(boxes)


def free_origin(taken: NDArray[np.bool_], extents: Extents) -> Extents | None:
    """First place, in C order, where a box covers nothing that is taken; boxes do not reach over the border.

    >>> free_origin(np.array([[0, 0, 0, 0], [0, 1, 0, 0]], bool), (2, 2))
    (0, 2)

    Args:
        taken: Over the coordinates of the nodes.
        extents: Of the box, no longer than the axes.
    """
    covered = taken.astype(np.int64)
    for axis, extent in enumerate(extents):
        covered = np.moveaxis(covered, axis, 0)
        sums = np.concatenate([np.zeros_like(covered[:1]), np.cumsum(covered, axis=0)])
        covered = np.moveaxis(sums[extent:] - sums[:-extent], 0, axis)
    first = int(np.argmin(covered))
    if covered.flat[first]:
        return None
    return tuple(map(int, np.unravel_index(first, covered.shape)))


def snake(extents: Extents) -> NDArray[np.int64]:
    """Coordinates of all nodes of a box in an order in which neighbours are one hop apart.

    The last axis varies fastest, and each axis runs back where the last pass left it.

    >>> snake((2, 3)).T.tolist()
    [[0, 0], [0, 1], [0, 2], [1, 2], [1, 1], [1, 0]]

    Returns:
        Coordinates of shape (axes, nodes).
    """
    passes = np.arange(math.prod(extents))
    coordinates = np.empty((len(extents), len(passes)), np.int64)
    for axis in reversed(range(len(extents))):
        passes, step = np.divmod(passes, extents[axis])
        coordinates[axis] = np.where(passes % 2, extents[axis] - 1 - step, step)
    return coordinates


def _each_box(combine: np.ufunc, parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """A number for every box of the machine, in C order of extents, combined from one for every axis and extent."""
    combined: NDArray[np.int64] = reduce(lambda left, right: combine.outer(left, right).ravel(), parts)
    return combined


def _sums_from_origin(live: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many nodes are live in each box from the origin, over the last coordinates of the box."""
    sums = live.astype(np.int64)
    for axis in range(sums.ndim):
        sums = np.cumsum(sums, axis=axis)
    return sums


def _whole_units(axes: Sequence[NetworkAxis]) -> NDArray[np.bool_]:
    """Whether each box fills the axes of the unit."""
    cut = [((np.arange(1, axis.extent + 1) < axis.extent) & axis.unit).astype(np.int64) for axis in axes]
    return ~_each_box(np.maximum, cut).astype(np.bool_)


def _wraps(axes: Sequence[NetworkAxis]) -> NDArray[np.int64]:
    """Axes of each box that keep their wrap."""
    return _each_box(np.add, [_at_full_extent(np.zeros(axis.extent, np.int64), axis, 1) for axis in axes])


def _diameters(axes: Sequence[NetworkAxis]) -> NDArray[np.int64]:
    """Longest of the shortest routes in each box."""
    return _each_box(np.add, [_at_full_extent(np.arange(axis.extent), axis, axis.extent // 2) for axis in axes])


def _bisections(axes: Sequence[NetworkAxis], volumes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Links in one direction across the middle of the longest axis of each box; two places to cut where it wraps."""
    lengths = [_at_full_extent(np.arange(1, axis.extent + 1) * 2, axis, axis.extent) for axis in axes]
    return 2 * volumes // _each_box(np.maximum, lengths)


def _at_full_extent(values: NDArray[np.int64], axis: NetworkAxis, value: int) -> NDArray[np.int64]:
    """Numbers for each extent, with another one for the whole axis if that wraps."""
    if axis.wrap:
        values[-1] = value
    return values
