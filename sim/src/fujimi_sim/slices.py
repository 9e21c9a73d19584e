"""Which slices of a mesh have to do with each other: neighbours, shared groups, chains of messages."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from fujimi_core.mesh import Mesh
from fujimi_core.workload import Recv, Role
from numpy.typing import NDArray

Ranks = NDArray[np.int64]


def neighbours(mesh: Mesh, ranks: Ranks, *, axis: str, offset: int) -> Ranks:
    """Ranks that are ``offset`` further along an axis; -1 where the mesh ends before.

    >>> neighbours(Mesh.of(pp=3, dp=2), np.array([0, 3, 4]), axis="pp", offset=1).tolist()
    [2, 5, -1]
    """
    position = mesh.index(axis)
    stride = int(np.prod(mesh.shape[position + 1 :], dtype=np.int64))
    moved = ranks // stride % mesh.shape[position] + offset
    return np.where((moved >= 0) & (moved < mesh.shape[position]), ranks + offset * stride, -1)


def circles(mesh: Mesh, roles: Sequence[Role], axes: Iterable[str]) -> list[frozenset[int]]:
    """Roles that share groups along the axes, directly or through others, for each role.

    Two slices share a group if they overlap along all other axes.

    Returns:
        Indices of roles, its own included, one set a role.
    """
    others = sorted(set(mesh.names) - set(axes))
    found: list[set[int]] = []
    for index, role in enumerate(roles):
        touched = [circle for circle in found if any(_overlap(mesh, role, roles[each], others) for each in circle)]
        found = [circle for circle in found if circle not in touched] + [{index}.union(*touched)]
    return [next(frozenset(circle) for circle in found if index in circle) for index in range(len(roles))]


def unchained(mesh: Mesh, roles: Iterable[Role]) -> list[Role]:
    """Split roles whose ranks receive messages of one another into roles of a single coordinate on that axis.

    The ranks of a role are replayed together, so none of them could wait for what another one sends later.
    """
    return [part for role in roles for part in _parts(mesh, role)]


def _parts(mesh: Mesh, role: Role) -> list[Role]:
    parts = [role]
    for axis in dict.fromkeys(event.axis for event in role.events if isinstance(event, Recv)):
        start, stop = _interval(mesh, role, axis)
        offsets = {event.offset for event in role.events if isinstance(event, Recv) and event.axis == axis}
        if any(0 < abs(offset) < stop - start for offset in offsets):
            parts = [_at(part, axis, coordinate) for part in parts for coordinate in range(start, stop)]
    return parts


def _at(role: Role, axis: str, coordinate: int) -> Role:
    name = f"{role.name}, {axis} {coordinate}"
    return replace(role, name=name, where={**role.where, axis: (coordinate, coordinate + 1)})


def _overlap(mesh: Mesh, one: Role, other: Role, axes: Iterable[str]) -> bool:
    pairs = [(_interval(mesh, one, axis), _interval(mesh, other, axis)) for axis in axes]
    return all(max(a[0], b[0]) < min(a[1], b[1]) for a, b in pairs)


def _interval(mesh: Mesh, role: Role, axis: str) -> tuple[int, int]:
    return role.where.get(axis, (0, mesh.shape[mesh.index(axis)]))
