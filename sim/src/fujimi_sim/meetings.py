"""Where roles meet in a replay: collectives start when all are there, messages wait to be received."""

from collections import defaultdict
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field

import numpy as np
import simpy
from fujimi_core.errors import WorkloadError
from fujimi_core.mesh import Mesh
from fujimi_core.workload import Collective, Recv, Role, Send
from numpy.typing import NDArray

from fujimi_sim.slices import Ranks, circles, neighbours

Seconds = NDArray[np.float64]


class Meetings:
    """Collectives of several roles along the same axes.

    Args:
        env: The simulation.
        mesh: All ranks.
        roles: Who takes part; the methods call them by their index.
    """

    def __init__(self, env: simpy.Environment, mesh: Mesh, roles: Sequence[Role]) -> None:
        self._env = env
        self._mesh = mesh
        self._shape = mesh.shape
        self._roles = roles
        self._ranks = [mesh.slice(role.where) for role in roles]
        self._circles: dict[tuple[int, ...], list[frozenset[int]]] = {}
        self._visits: dict[tuple[int, tuple[int, ...]], int] = defaultdict(int)
        self._open: dict[tuple[frozenset[int], tuple[int, ...], int], _Meeting] = {}

    def meet(
        self, role: int, collective: Collective, ready: Seconds
    ) -> Generator[simpy.Event, NDArray[np.float64], Seconds]:
        """Wait until all roles that share groups with this one are there.

        Args:
            role: Who comes.
            collective: For what.
            ready: When each of its ranks is ready.

        Returns:
            When the group of each of its ranks starts: when its last member is ready.

        Raises:
            WorkloadError: If another role comes for something else.
        """
        along = self._along(collective)
        self._visits[role, along] += 1
        key = (self._circle(role, along), along, self._visits[role, along])
        meeting = self._open.setdefault(key, _Meeting(complete=self._env.event()))
        meeting.ready[role] = ready
        meeting.comes_for[role] = collective
        self._require_same(meeting, role)
        if len(meeting.ready) == len(key[0]):
            del self._open[key]
            meeting.complete.succeed(self._starts(meeting, along))
        starts = yield meeting.complete
        return starts[self._ranks[role]]

    def others(self, role: int, collective: Collective) -> list[str]:
        """Names of the roles that a role meets there."""
        return [self._roles[other].name for other in sorted(self._circle(role, self._along(collective)) - {role})]

    def _along(self, collective: Collective) -> tuple[int, ...]:
        return tuple(sorted({self._mesh.index(axis) for axis in collective.axes}))

    def _circle(self, role: int, along: tuple[int, ...]) -> frozenset[int]:
        if along not in self._circles:
            self._circles[along] = circles(self._mesh, self._roles, [self._mesh.names[axis] for axis in along])
        return self._circles[along][role]

    def _require_same(self, meeting: "_Meeting", role: int) -> None:
        (first, theirs), mine = next(iter(meeting.comes_for.items())), meeting.comes_for[role]
        if (theirs.kind, theirs.nbytes) != (mine.kind, mine.nbytes):
            raise WorkloadError(
                f"roles {self._roles[first].name!r} and {self._roles[role].name!r} meet along {', '.join(mine.axes)}, "
                f"one for {theirs.kind} of {theirs.nbytes:,} B, the other for {mine.kind} of {mine.nbytes:,} B"
            )

    def _starts(self, meeting: "_Meeting", along: tuple[int, ...]) -> Seconds:
        """When each rank of the mesh starts; ranks of other circles have no part in it."""
        ready = np.full(self._shape, -np.inf).reshape(-1)
        for role, times in meeting.ready.items():
            ready[self._ranks[role]] = times
        last = ready.reshape(self._shape).max(axis=along, keepdims=True)
        return np.broadcast_to(last, self._shape).reshape(-1)


@dataclass(slots=True, kw_only=True)
class _Meeting:
    complete: simpy.Event
    ready: dict[int, Seconds] = field(default_factory=dict)
    comes_for: dict[int, Collective] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Message:
    """What the ranks of one role send to those of another at once, and when each is under way."""

    nbytes: int
    start: Seconds
    end: Seconds


class Mailboxes:
    """Messages along an axis that were sent and not received yet, first in, first out.

    Args:
        env: The simulation.
        mesh: All ranks.
        roles: Who writes to whom; the methods call them by their index.
    """

    def __init__(self, env: simpy.Environment, mesh: Mesh, roles: Sequence[Role]) -> None:
        self._mesh = mesh
        self._roles = roles
        self._ranks = [mesh.slice(role.where) for role in roles]
        self._role_of = np.empty(mesh.world_size, np.int64)
        for index, ranks in enumerate(self._ranks):
            self._role_of[ranks] = index
        self._peers: dict[tuple[int, str, int], dict[int, Ranks]] = {}
        # by sender, receiver, axis and offset
        self._boxes: dict[tuple[int, int, str, int], simpy.Store] = defaultdict(lambda: simpy.Store(env))

    def post(self, role: int, send: Send, ready: Seconds, seconds: float) -> Seconds:
        """Leave the messages of a role's ranks; returns when each has arrived.

        Ranks whose receiver would lie outside the mesh send nothing, in no time.
        """
        end = ready.copy()
        for receiver, mine in self._peers_of(role, send.axis, send.offset).items():
            end[mine] += seconds
            message = _Message(nbytes=send.nbytes, start=ready[mine], end=end[mine])
            self._boxes[role, receiver, send.axis, send.offset].put(message)
        return end

    def receive(
        self, role: int, recv: Recv, ready: Seconds
    ) -> Generator[simpy.Event, _Message, tuple[Seconds, Seconds]]:
        """Wait for the messages to a role's ranks.

        Ranks whose sender would lie outside the mesh wait for nothing.

        Returns:
            From when to when each rank, once ready, has its message under way.

        Raises:
            WorkloadError: If a message has another size than is expected.
        """
        start, end = ready.copy(), ready.copy()
        for sender, mine in self._peers_of(role, recv.axis, recv.offset).items():
            message = yield self._boxes[sender, role, recv.axis, -recv.offset].get()
            if message.nbytes != recv.nbytes:
                raise WorkloadError(
                    f"role {self._roles[role].name!r} waits for {recv.nbytes:,} B along {recv.axis}, "
                    f"but role {self._roles[sender].name!r} sends {message.nbytes:,} B"
                )
            # both count ranks in the same order
            start[mine] = np.maximum(message.start, ready[mine])
            end[mine] = np.maximum(message.end, ready[mine])
        return start, end

    def senders(self, role: int, recv: Recv) -> list[str]:
        """Names of the roles that a message comes from."""
        return [self._roles[sender].name for sender in self._peers_of(role, recv.axis, recv.offset)]

    def unread(self) -> list[str]:
        """Messages that were sent and not received, in words."""
        return [
            f"role {self._roles[sender].name!r} sends {len(box.items)} more along {axis} ({offset:+d}) "
            f"than role {self._roles[receiver].name!r} receives"
            for (sender, receiver, axis, offset), box in self._boxes.items()
            if box.items
        ]

    def _peers_of(self, role: int, axis: str, offset: int) -> dict[int, Ranks]:
        """Roles of the ranks' neighbours, and which of its ranks, counted within the role, are next to each."""
        key = role, axis, offset
        if key not in self._peers:
            beside = neighbours(self._mesh, self._ranks[role], axis=axis, offset=offset)
            peer_of = np.where(beside >= 0, self._role_of[beside], -1)
            peers = np.unique(peer_of[peer_of >= 0]).tolist()
            self._peers[key] = {peer: np.flatnonzero(peer_of == peer) for peer in peers}
        return self._peers[key]
