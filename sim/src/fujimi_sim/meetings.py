"""Where roles meet in a replay: collectives start when all are there, messages wait to be received."""

from collections import defaultdict
from collections.abc import Generator
from typing import Any

import numpy as np
import simpy
from fujimi_core.mesh import Mesh
from fujimi_core.workload import Recv, Role, Send, Workload
from numpy.typing import NDArray

Ranks = NDArray[np.int64]
Seconds = NDArray[np.float64]


class Meetings:
    """Collectives of several roles along the same axes.

    Args:
        env: Clock of the simulation.
        workload: Who takes part in what.
    """

    def __init__(self, env: simpy.Environment, workload: Workload) -> None:
        self._env = env
        self._workload = workload
        self._open: dict[tuple[Any, ...], _Meeting] = {}
        self._partners: dict[tuple[str, ...], dict[str, frozenset[str]]] = {}
        self._visits: dict[tuple[str, tuple[str, ...]], int] = defaultdict(int)

    def meet(self, role: Role, axes: tuple[str, ...], ready: Seconds) -> Generator[simpy.Event, None, Seconds]:
        """Wait until all roles that share groups with this one are there.

        Args:
            role: Who comes.
            axes: Along which the groups lie.
            ready: When each of its ranks is ready.

        Returns:
            When the group of each of its ranks starts: when its last member is ready.
        """
        partners = self._partners_of(axes)[role.name]
        self._visits[role.name, axes] += 1
        key = (partners, axes, self._visits[role.name, axes])
        meeting = self._open.setdefault(key, _Meeting(self._env, self._workload.mesh.world_size))
        ranks = self._workload.ranks(role)
        meeting.ready[ranks] = ready
        meeting.present += 1
        if meeting.present == len(partners):
            del self._open[key]
            meeting.complete.succeed()
        yield meeting.complete
        groups = self._workload.mesh.groups(axes)
        start = np.empty_like(meeting.ready)
        start[groups] = meeting.ready[groups].max(axis=1, keepdims=True)
        return start[ranks]

    def _partners_of(self, axes: tuple[str, ...]) -> dict[str, frozenset[str]]:
        """Roles that share groups, directly or through others, for each role."""
        if axes not in self._partners:
            groups = self._workload.mesh.groups(axes)
            group_of = np.empty(self._workload.mesh.world_size, np.int64)
            group_of[groups] = np.arange(len(groups))[:, None]
            circles: list[tuple[set[str], set[int]]] = []
            for role in self._workload.roles:
                names, members = {role.name}, set(np.unique(group_of[self._workload.ranks(role)]).tolist())
                for circle in [circle for circle in circles if circle[1] & members]:
                    circles.remove(circle)
                    names |= circle[0]
                    members |= circle[1]
                circles.append((names, members))
            self._partners[axes] = {name: frozenset(names) for names, _ in circles for name in names}
        return self._partners[axes]


class _Meeting:
    def __init__(self, env: simpy.Environment, world_size: int) -> None:
        self.complete = env.event()
        self.present = 0
        self.ready: Seconds = np.full(world_size, -np.inf)


class Mailboxes:
    """Messages along an axis that were sent and not received yet.

    Args:
        env: Clock of the simulation.
        workload: Who sends to whom.
    """

    def __init__(self, env: simpy.Environment, workload: Workload) -> None:
        self._env = env
        self._workload = workload
        self._boxes: dict[tuple[str, int, int], _Mailbox] = {}
        self._sent: dict[tuple[str, str, int], int] = defaultdict(int)
        self._received: dict[tuple[str, str, int], int] = defaultdict(int)

    def post(self, role: Role, send: Send, start: Seconds, end: Seconds) -> None:
        """Leave the messages of a role's ranks, each under way from start to end."""
        self._sent[role.name, send.axis, send.offset] += 1
        box = self._box(send.axis, send.offset, self._sent[role.name, send.axis, send.offset])
        target = neighbours(self._workload.mesh, self._workload.ranks(role), send.axis, send.offset)
        exists = target >= 0
        box.start[target[exists]], box.end[target[exists]] = start[exists], end[exists]
        box.news.succeed()
        box.news = self._env.event()

    def receive(self, role: Role, recv: Recv) -> Generator[simpy.Event, None, tuple[Seconds, Seconds]]:
        """Wait for the messages to a role's ranks; returns when each was under way."""
        self._received[role.name, recv.axis, recv.offset] += 1
        box = self._box(recv.axis, -recv.offset, self._received[role.name, recv.axis, recv.offset])
        ranks = self._workload.ranks(role)
        exists = neighbours(self._workload.mesh, ranks, recv.axis, recv.offset) >= 0
        while np.isnan(box.end[ranks[exists]]).any():
            yield box.news
        return np.where(exists, box.start[ranks], 0.0), np.where(exists, box.end[ranks], 0.0)

    def _box(self, axis: str, offset: int, number: int) -> "_Mailbox":
        key = (axis, offset, number)
        if key not in self._boxes:
            self._boxes[key] = _Mailbox(self._env, self._workload.mesh.world_size)
        return self._boxes[key]


class _Mailbox:
    def __init__(self, env: simpy.Environment, world_size: int) -> None:
        self.news = env.event()
        self.start: Seconds = np.full(world_size, np.nan)
        self.end: Seconds = np.full(world_size, np.nan)


def neighbours(mesh: Mesh, ranks: Ranks, axis: str, offset: int) -> Ranks:
    """Ranks that are ``offset`` further along an axis; -1 where the mesh ends before."""
    position = mesh.index(axis)
    coordinates = list(np.unravel_index(ranks, mesh.shape))
    moved = coordinates[position] + offset
    inside = (moved >= 0) & (moved < mesh.shape[position])
    coordinates[position] = np.where(inside, moved, 0)
    return np.where(inside, np.ravel_multi_index(coordinates, mesh.shape), -1)
