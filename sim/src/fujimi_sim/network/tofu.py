"""Tofu interconnect D: a torus of units, and jobs whose shape is folded into rings."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from fujimi_core.errors import MachineError
from fujimi_core.machine import Machine, NetworkAxis
from numpy.typing import NDArray

from fujimi_sim.network.allocation import Extents, box, by
from fujimi_sim.network.cycles import closes, ladder, prism
from fujimi_sim.network.torus import Torus

#: Nodes of a Tofu unit along a, b and c: the scheduler hands out nothing smaller.
UNIT = (2, 3, 2)
X, Y, Z, A, B, C = range(6)
_SPACES = 3
_AXES = 6

#: For each axis of a job the physical axes that it is folded over.
Layout = tuple[tuple[int, ...], ...]

#: x over (X, a), y over (Y, b), z over (Z, c).
CUBE: Layout = ((A, X), (B, Y), (C, Z))
#: Two axes: out and back over a and c, with Y and b on either side.
PLANES: tuple[Layout, ...] = (
    ((A, X), (C, Y, Z, B)),
    ((A, X, B), (C, Y, Z)),
    ((A, X, Y), (C, Z, B)),
    ((A, X, Y, B), (C, Z)),
)
#: One axis: a snake through all units on one side of a, and back on the other.
LINE: Layout = ((A, X, Y, Z, C, B),)


class Fold(NamedTuple):
    """How a job's shape lies in a box of units.

    Args:
        units: Units of the box along X, Y and Z.
        layout: Physical axes of each axis of the job: the one of the unit over which it is folded, then others, of
            which the last varies fastest.
    """

    units: Extents
    layout: Layout


@dataclass(frozen=True, slots=True, kw_only=True)
class Tofu(Torus):
    """Tofu interconnect D, or the box of it that a job has.

    A torus over X, Y and Z of units of 2 x 3 x 2 nodes (a, b, c). Links, routes and jobs without a shape are those of
    ``Torus``. A job that asks for a shape gets whole units, and sees a torus even where its box does not wrap: each
    axis of the job runs out along a space axis on one side of its unit axis and back on the other, so that
    neighbours, first and last among them, are one hop apart.

    - Three extents: x is folded over (X, a), y over (Y, b), z over (Z, c), with the fewest units that hold them. If
      that does not fit the machine, the extents are tried on the other axes: Fugaku takes axes in any order.
    - Two extents, one extent: folded over several axes, see ``PLANES`` and ``LINE``; of those that close with single
      hops the one with fewest units. This is our choice, Fujitsu's is not documented.

    An odd extent closes with one hop where its axes have b, a ring of three nodes, and with two elsewhere: there is no
    shorter way. Nodes of its units that a shape does not fill stay unused, but messages may pass through them.

    Args:
        layout: Physical axes of each axis of the shape that was asked for.

    Source:
        Y. Ajima, High-dimensional Interconnect Technology for the K Computer and the Supercomputer Fugaku, Fujitsu
        Technical Review, 2020: virtual torus. RIKEN R-CCS, Fugaku user guide, Use and job execution 1.50, 3.4.1: axes
        of shapes can be exchanged.
    """

    layout: Layout = ()

    @classmethod
    def of(cls, machine: Machine) -> Self:
        """The whole network of a machine.

        Raises:
            MachineError: If its axes are not three of units and the three of a unit, or do not make up its nodes.
        """
        axes = machine.network.axes
        unit = tuple(axis.extent for axis in axes[_SPACES:])
        flags = [axis.unit for axis in axes]
        if flags != [False] * 3 + [True] * 3 or unit != UNIT or not axes[B].wrap:
            raise MachineError(
                f"machine {machine.name!r}: a tofu has the six axes X, Y, Z, a, b, c, the last three with unit = true"
                f" and the extents {by(UNIT)}, and b wraps; got"
                f" {', '.join(f'{axis.name} of {axis.extent}' for axis in axes) or 'none'}"
            )
        # Not super(): a dataclass with slots is another class than the one in which this is written.
        return super(Tofu, cls).of(machine)

    def allocate(self, nodes: int, *, shape: tuple[int, ...] | None = None) -> Self:
        """The part that a job gets; one that asks for no shape but fills a box sees its three axes all the same.

        Raises:
            MachineError: If there are not so many nodes, or they do not fit in that shape.
        """
        part = super(Tofu, self).allocate(nodes, shape=shape)
        filled = math.prod(part.extents) == nodes
        if part.asked or not filled or self.asked or self.extents[_SPACES:] != UNIT or self.count < self._live():
            return part
        return self._shaped(nodes, tuple(part.extents[axis] * part.extents[axis + _SPACES] for axis in (X, Y, Z)))

    def _shaped(self, nodes: int, shape: tuple[int, ...]) -> Self:
        """The part on which a shape is folded.

        Raises:
            MachineError: If it does not fit, or dead nodes are in the way.
        """
        if self.extents[_SPACES:] != UNIT or self.asked or self.count < self._live():
            raise MachineError(
                f"machine {self.machine.name!r}: part of a job that has a shape, or no whole units, cannot be given the"
                f" shape {by(shape)}: ask the whole machine for it"
            )
        found = fold(shape, self.extents[:_SPACES])
        if found is None:
            raise MachineError(
                f"machine {self.machine.name!r}: a job of shape {by(shape)} does not fit, in any order of its extents:"
                f" {_limits(self.extents[:_SPACES])}"
            )
        extents = found.units + UNIT
        part = self._part(extents, count=nodes, offset=self._free_offset(extents, shape), asked=shape)
        return replace(part, layout=found.layout)

    def _part(
        self, extents: Extents, *, count: int, offset: Extents | None = None, asked: tuple[int, ...] = ()
    ) -> Self:
        part = super(Tofu, self)._part(extents, count=count, offset=offset, asked=asked)
        return replace(part, layout=())

    def _live(self) -> int:
        """Nodes of the box that are not dead."""
        dead = self._dead()
        return math.prod(self.extents) - (0 if dead is None else int(dead.sum()))

    def _order(self) -> NDArray[np.int64]:
        """Coordinates in C order over the shape that was asked for; those of a torus if none was."""
        if not self.asked:
            return super(Tofu, self)._order()
        order = np.zeros((_AXES, math.prod(self.asked)), np.int64)
        at = np.unravel_index(np.arange(order.shape[1]), self.asked)
        for axes, nodes, index in zip(self.layout, self.asked, at, strict=True):
            order[list(axes)] = ring(axes, nodes, self.extents)[:, index]
        return order


def ring(axes: Sequence[int], nodes: int, extents: Extents) -> NDArray[np.int64]:
    """Coordinates of a job's axis along the physical axes that it is folded over, shape (axes, nodes).

    >>> ring((A, X), 4, (2, 1, 1, 2, 3, 2)).T.tolist()
    [[0, 0], [0, 1], [1, 1], [1, 0]]

    Args:
        axes: The one of the unit first.
        nodes: Along the job's axis.
        extents: Of the box.
    """
    first, *others = axes
    if first == B:
        return prism(nodes)
    return ladder(tuple(extents[axis] for axis in others), nodes, triangle=B in others)


def fold(shape: Extents, units: Extents) -> Fold | None:
    """Fold a job's shape into units: in the order given if that fits, else rotated.

    >>> fold((48, 6, 48), (24, 23, 24)).units
    (24, 2, 24)
    >>> fold((6, 48, 69), (24, 23, 24)).layout  # rotated: 69 fits Y and b only
    ((3, 0), (5, 2), (4, 1))

    Args:
        shape: Nodes along each axis of the job, one to three.
        units: Units of the machine along X, Y and Z.

    Returns:
        None if it does not fit.
    """
    for layouts in _layouts(len(shape)):
        folds = [Fold(found, layout) for layout in layouts if (found := _units(shape, layout, units))]
        if folds:
            return min(folds, key=lambda each: _cost(shape, each))
    return None


def _layouts(axes: int) -> Iterator[Sequence[Layout]]:
    """Layouts for shapes of so many axes; later ones are for shapes that fit none of the former."""
    if axes == _SPACES:
        yield from ([layout] for layout in itertools.permutations(CUBE))
    elif axes == len(PLANES[0]):
        yield PLANES
        yield [(second, first) for first, second in PLANES]
    elif axes == 1:
        yield [LINE]


def _units(shape: Extents, layout: Layout, most: Extents) -> Extents | None:
    """Units along X, Y and Z that hold a shape; None if there are not so many."""
    units = [1] * _SPACES
    for nodes, axes in zip(shape, layout, strict=True):
        spaces = [axis for axis in axes if axis < _SPACES]
        needed = -(-nodes // math.prod(UNIT[axis - _SPACES] for axis in axes if axis >= _SPACES))
        if needed > math.prod(most[axis] for axis in spaces):
            return None
        for axis, extent in zip(spaces, _box_of_units(needed, [most[axis] for axis in spaces]), strict=True):
            units[axis] = extent
    return tuple(units)


def _box_of_units(units: int, most: Sequence[int]) -> Extents:
    """Extents of a box of at least so many units."""
    return box([NetworkAxis(name="", extent=extent, wrap=True) for extent in most], units)


def _cost(shape: Extents, folded: Fold) -> tuple[int, int, int]:
    """What makes a fold worse: axes that do not close with one hop, then units, then distance."""
    open_axes = sum(
        not closes(nodes, triangle=B in axes) for nodes, axes in zip(shape, folded.layout, strict=True) if axes[0] != B
    )
    return open_axes, math.prod(folded.units), sum(folded.units)


def _limits(units: Extents) -> str:
    """The largest shapes, for messages."""
    cube = by([space * inside for space, inside in zip(units, UNIT, strict=True)])
    planes = [
        tuple(math.prod((units + UNIT)[axis] for axis in axes) for axes in layout) for layout in PLANES
    ]  # fmt: skip
    return f"at most {cube} with three, {', '.join(map(by, planes))} with two"
