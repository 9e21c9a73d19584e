"""Dead nodes and links of a mesh or torus, and whether messages cross them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from fujimi_core.errors import MachineError
from fujimi_core.machine import Machine, NetworkAxis
from numpy.typing import NDArray

from fujimi_sim.network.routes import Coordinates, signed_distance

#: Where no link leads.
NOWHERE = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Damage:
    """Dead nodes and links of a box.

    Args:
        axes: Of the box.
        dead: Whether each node is dead, over the coordinates.
        neighbours: Node to which the links ``+x``, ``-x`` and so on of each node lead, or ``NOWHERE``, shape
            (links of a node, nodes).
        sums: For each axis the broken links that lie before each coordinate, along lines that go round twice.
        any: Whether anything is broken.
    """

    axes: tuple[NetworkAxis, ...]
    dead: NDArray[np.bool_]
    neighbours: NDArray[np.int64]
    sums: tuple[NDArray[np.int64], ...]
    any: bool

    def crossed(self, src: Coordinates, dst: Coordinates, order: Sequence[int]) -> NDArray[np.bool_]:
        """Whether messages that are routed along the axes in an order cross something dead, shape (messages,)."""
        crossed = np.zeros(src.shape[1], np.bool_)
        at = src.copy()
        for position in order:
            distance = signed_distance(src[position], dst[position], self.axes[position])
            low = np.where(distance < 0, dst[position], src[position])
            at[position] = low
            before = self.sums[position][tuple(at)]
            at[position] = low + np.abs(distance)
            crossed |= self.sums[position][tuple(at)] != before
            at[position] = dst[position]
        return crossed


def damage_of(machine: Machine, axes: tuple[NetworkAxis, ...], origin: tuple[int, ...]) -> Damage:
    """What is dead in a box of a machine.

    A dead node breaks all its links. Where an axis of two nodes wraps, a dead link between them is both links.

    Args:
        machine: Whose network has dead nodes and links.
        axes: Of the box.
        origin: Where it begins.

    Raises:
        MachineError: If the machine does not have a node or a link that is said to be dead.
    """
    network = machine.network
    absent = [node for node in itertools.chain(network.dead_nodes, *network.dead_links) if node >= machine.nodes]
    if absent:
        raise MachineError(
            f"machine {machine.name!r}: node {absent[0]}, which is dead or at a dead link, is not one of its nodes 0 to"
            f" {machine.nodes - 1}"
        )
    for ends in network.dead_links:
        if not _joining(ends, network.axes):
            raise MachineError(
                f"machine {machine.name!r}: no link joins the nodes {ends[0]} and {ends[1]}, which are the ends of one"
                " of its dead links"
            )
    return _damage(network.axes, network.dead_nodes, network.dead_links, axes, origin)


@lru_cache(maxsize=4)
def _damage(
    whole: tuple[NetworkAxis, ...],
    dead_nodes: tuple[int, ...],
    dead_links: tuple[tuple[int, int], ...],
    axes: tuple[NetworkAxis, ...],
    origin: tuple[int, ...],
) -> Damage:
    """Damage of a box, computed once: phases of the same job ask again and again."""
    shape = tuple(axis.extent for axis in whole)
    window = tuple(slice(start, start + axis.extent) for start, axis in zip(origin, axes, strict=True))
    dead = np.zeros(shape, np.bool_)
    dead.flat[list(dead_nodes)] = True
    broken = [np.zeros(shape, np.bool_) for _ in whole]
    for ends in dead_links:
        for position, node in _joining(ends, whole):
            broken[position].flat[node] = True
    dead = dead[window].copy()
    broken = [links[window].copy() for links in broken]
    damaged = bool(dead.any()) or any(links.any() for links in broken)
    for position, (links, axis) in enumerate(zip(broken, axes, strict=True)):
        links |= dead | np.roll(dead, -1, axis=position)
        if not axis.wrap:
            np.moveaxis(links, position, 0)[-1] = True
    return Damage(
        axes=axes,
        dead=dead,
        neighbours=_neighbours(broken),
        sums=tuple(_sums(links, position) for position, links in enumerate(broken)),
        any=damaged,
    )


def _joining(ends: tuple[int, int], axes: tuple[NetworkAxis, ...]) -> list[tuple[int, int]]:
    """Links between two nodes, by their axis and the node that they leave forward."""
    extents = tuple(axis.extent for axis in axes)
    first, second = (np.array(np.unravel_index(end, extents)) for end in ends)
    apart = np.flatnonzero(first != second)
    if len(apart) != 1:
        return []
    position = int(apart[0])
    forward, over_the_border = 1, 1 - extents[position] if axes[position].wrap else 1
    ahead = int((second - first)[position])
    steps = ((ends[0], ahead), (ends[1], -ahead))
    return [(position, node) for node, step in steps if step in (forward, over_the_border)]


def _neighbours(broken: Sequence[NDArray[np.bool_]]) -> NDArray[np.int64]:
    """Where the links forward and backward along each axis lead."""
    nodes = np.arange(broken[0].size).reshape(broken[0].shape)
    leads_to = []
    for position, links in enumerate(broken):
        leads_to.append(np.where(links, NOWHERE, np.roll(nodes, -1, axis=position)))
        leads_to.append(np.where(np.roll(links, 1, axis=position), NOWHERE, np.roll(nodes, 1, axis=position)))
    return np.array(leads_to).reshape(len(leads_to), -1)


def _sums(links: NDArray[np.bool_], position: int) -> NDArray[np.int64]:
    """Running sums of broken links along an axis, from before the first link, twice round."""
    twice = np.concatenate([links, links], axis=position)
    sums = np.cumsum(twice, axis=position)
    return np.concatenate([np.zeros_like(sums.take([0], axis=position)), sums], axis=position)
