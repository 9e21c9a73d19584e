"""Replays one step of a workload: a SimPy process a role, a clock a rank."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import simpy
from fujimi_core.errors import WorkloadError
from fujimi_core.workload import Collective, Kernel, Role, Send, Stream, Workload
from numpy.typing import NDArray

from fujimi_sim.meetings import Mailboxes, Meetings
from fujimi_sim.network.timer import Timing
from fujimi_sim.steps import Compute, Step, steps_of

Seconds = NDArray[np.float64]


class Communication(Protocol):
    """How long communication takes, once all who take part are ready."""

    def collective(self, collective: Collective) -> Timing:
        """Time of a collective; the same for all its groups, which share the network."""
        ...

    def send(self, send: Send, where: Mapping[str, tuple[int, int]]) -> Timing:
        """Time of the messages that a slice of the mesh sends at once."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replay:
    """What each rank spent the step on; every array has one entry a rank.

    ``compute_s + exposed_s + idle_s`` is the time of the step, for every rank.

    Args:
        step_s: From the common start until the last rank is done.
        compute_s: Kernels.
        communication_s: Collectives and messages under way, hidden behind kernels or not.
        exposed_s: Kernels waited while communication was under way.
        idle_s: Kernels waited and no communication was under way: for slower ranks.
    """

    step_s: float
    compute_s: Seconds
    communication_s: Seconds
    exposed_s: Seconds
    idle_s: Seconds


def replay(
    workload: Workload,
    *,
    kernel_seconds: Callable[[Kernel], float],
    communication: Communication,
    slowness: Seconds,
) -> Replay:
    """Run one step of every rank.

    Args:
        workload: What they do.
        kernel_seconds: Time of a kernel on a rank of average speed.
        communication: Time of collectives and messages.
        slowness: Factor on each rank's kernels, shape (ranks,).

    Raises:
        WorkloadError: If ranks wait for each other forever.
    """
    env = simpy.Environment()
    meetings, mailboxes = Meetings(env, workload), Mailboxes(env, workload)
    actors = [_Actor(env, role, slowness[workload.ranks(role)], communication) for role in workload.roles]
    processes = [
        env.process(actor.run(steps_of(actor.role.events, kernel_seconds), meetings, mailboxes)) for actor in actors
    ]
    env.run()
    stuck = [actor for actor, process in zip(actors, processes, strict=True) if process.is_alive]
    if stuck:
        waits = "; ".join(f"role {actor.role.name!r} waits for {actor.waits_for}" for actor in stuck)
        raise WorkloadError(f"workload {workload.job!r} cannot end: {waits}")
    return _together(workload, actors)


class _Actor:
    """All ranks of one role: their clocks, and what they spent their time on."""

    def __init__(self, env: simpy.Environment, role: Role, slowness: Seconds, communication: Communication) -> None:
        self.role = role
        self.waits_for = ""
        self.clock = {stream: np.zeros(len(slowness)) for stream in Stream}
        self.compute_s, self.communication_s, self.exposed_s, self.idle_s = np.zeros((4, len(slowness)))
        self._env = env
        self._slowness = slowness
        self._communication = communication
        self._under_way: list[tuple[Seconds, Seconds]] = []

    def run(self, steps: list[Step], meetings: Meetings, mailboxes: Mailboxes) -> Generator[Any, Any, None]:
        """Do all steps in the order in which they were issued."""
        ends: list[Seconds] = []
        for step in steps:
            ready = np.maximum.reduce([self.clock[step.stream], *(ends[wait] for wait in step.waits)])
            if step.stream is Stream.COMPUTE:
                self.stall(ready)
            yield self._env.timeout(max(0.0, float(ready.max()) - self._env.now))
            end = yield from self._work(step, ready, meetings, mailboxes)
            self.clock[step.stream] = end
            ends.append(end)

    def stall(self, until: Seconds) -> None:
        """Let compute wait until then."""
        clock = self.clock[Stream.COMPUTE]
        waited = np.maximum(until - clock, 0.0)
        covered = np.zeros_like(waited)
        for start, end in self._under_way:
            covered += np.maximum(np.minimum(end, until) - np.maximum(start, clock), 0.0)
        exposed = np.minimum(covered, waited)
        self.exposed_s += exposed
        self.idle_s += waited - exposed
        self.clock[Stream.COMPUTE] = np.maximum(clock, until)
        earliest = self.clock[Stream.COMPUTE].min()
        self._under_way = [(start, end) for start, end in self._under_way if end.max() > earliest]

    def _work(
        self, step: Step, ready: Seconds, meetings: Meetings, mailboxes: Mailboxes
    ) -> Generator[Any, Any, Seconds]:
        """Do one step; returns when each rank ends it."""
        work = step.work
        if isinstance(work, Compute):
            duration = work.seconds * self._slowness
            self.compute_s += duration
            return ready + duration
        if isinstance(work, Collective):
            self.waits_for = f"others to join {work.kind} along {', '.join(work.axes)}"
            start = yield from meetings.meet(self.role, work.axes, ready)
            return self._communicate(start, start + self._communication.collective(work).seconds, ready)
        if isinstance(work, Send):
            end = ready + self._communication.send(work, self.role.where).seconds
            mailboxes.post(self.role, work, ready, end)
            return self._communicate(ready, end, ready)
        self.waits_for = f"a message from the rank {work.offset:+d} along {work.axis}"
        start, end = yield from mailboxes.receive(self.role, work)
        return self._communicate(start, end, ready)

    def _communicate(self, start: Seconds, end: Seconds, ready: Seconds) -> Seconds:
        self.communication_s += end - start
        self._under_way.append((start, end))
        return np.maximum(end, ready)


def _together(workload: Workload, actors: list[_Actor]) -> Replay:
    """Let all ranks wait for the last, and put the roles side by side."""
    step_s = max(float(clock.max()) for actor in actors for clock in actor.clock.values())
    parts = np.zeros((4, workload.mesh.world_size))
    for actor in actors:
        actor.stall(np.full_like(actor.compute_s, step_s))
        spent = (actor.compute_s, actor.communication_s, actor.exposed_s, actor.idle_s)
        parts[:, workload.ranks(actor.role)] = spent
    compute_s, communication_s, exposed_s, idle_s = parts
    return Replay(
        step_s=step_s, compute_s=compute_s, communication_s=communication_s, exposed_s=exposed_s, idle_s=idle_s
    )
