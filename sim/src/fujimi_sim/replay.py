"""Replays one step of a workload: a SimPy process a role, a clock a rank."""

import functools
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import simpy
from fujimi_core.errors import WorkloadError
from fujimi_core.workload import Collective, Kernel, Role, Send, Stream, Workload

from fujimi_sim.meetings import Mailboxes, Meetings, Seconds
from fujimi_sim.network.timer import Timing
from fujimi_sim.slices import unchained
from fujimi_sim.steps import Compute, Step, steps_of

#: Start and end on each rank, and the last end.
_Interval = tuple[Seconds, Seconds, float]


class Communication(Protocol):
    """How long communication takes, once all who take part are ready."""

    def collective(self, collective: Collective) -> Timing:
        """Time of a collective; the same for all its groups, which share the network."""
        ...

    def send(self, send: Send, where: Mapping[str, tuple[int, int]]) -> Timing:
        """Time of the messages that a slice of the mesh sends at once."""
        ...


class Observer(Protocol):
    """Sees all that is done, in the order in which it is accounted for."""

    def __call__(self, index: int, role: Role, step: Step, *, ready: Seconds, start: Seconds, end: Seconds) -> None:
        """Hear of a step; the times have one entry for each rank of the role.

        Args:
            index: Counts the roles that are replayed, of which a role of the workload may become several.
            role: Who did it.
            step: What.
            ready: When the stream and all that the step waits for were done.
            start: When it began; before that it waited for other ranks.
            end: When it ended.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Replay:
    """What each rank spent the step on; every array has one entry a rank.

    ``compute_s + exposed_s + idle_s`` is the time of the step, for every rank.

    Args:
        step_s: From the common start until the last rank is done.
        compute_s: Kernels of the compute stream.
        communication_s: Collectives and messages under way, and kernels of the communication stream.
        exposed_s: The part of it for which the compute stream waited.
        idle_s: The compute stream waited while nothing was under way: for other ranks.
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
    issue_s: float = 0.0,
    taken: float = 0.0,
    observer: Observer | None = None,
) -> Replay:
    """Run one step of every rank.

    The events of a stream run one after the other, in order of issue. A collective starts for a group when its last
    member is ready. A message leaves when its sender is ready, whether or not the receiver is.

    Args:
        workload: What they do.
        kernel_seconds: Time of a kernel on a rank of average speed.
        communication: Time of collectives and messages.
        slowness: Factor on each rank's kernels, shape (ranks,).
        issue_s: Time of the host to start one kernel, while earlier ones run.
        taken: Share of a device that a collective takes from kernels beside it, 0 to 1.
        observer: Who is told of each step.

    Raises:
        WorkloadError: If ranks wait for each other forever, or do not agree on what they exchange.
    """
    env, mesh = simpy.Environment(), workload.mesh
    roles = unchained(mesh, workload.roles)
    meetings, mailboxes = Meetings(env, mesh, roles), Mailboxes(env, mesh, roles)
    actors = [
        _Actor(
            env,
            index,
            role=role,
            slowness=slowness[mesh.slice(role.where)],
            communication=communication,
            taken=taken,
            observer=observer,
        )
        for index, role in enumerate(roles)
    ]
    processes = [
        env.process(actor.run(steps_of(actor.role.events, kernel_seconds, issue_s=issue_s), meetings, mailboxes))
        for actor in actors
    ]
    env.run()
    stuck = [actor for actor, process in zip(actors, processes, strict=True) if process.is_alive]
    problems = [f"role {actor.role.name!r} waits for {actor.waits_for}" for actor in stuck] or mailboxes.unread()
    if problems:
        raise WorkloadError(f"workload {workload.job!r} cannot end: {'; '.join(problems)}")
    return _together(workload, actors)


#: Streams whose steps may run at the same time as kernels.
_BESIDES = (Stream.COMMUNICATION, Stream.SENDING)


class _Actor:
    """All ranks of one role: their clocks, and what they spent their time on."""

    def __init__(
        self,
        env: simpy.Environment,
        index: int,
        *,
        role: Role,
        slowness: Seconds,
        communication: Communication,
        taken: float,
        observer: Observer | None,
    ) -> None:
        self.role = role
        self.waits_for = ""
        self.clock = {stream: np.zeros(len(slowness)) for stream in Stream}
        self.compute_s, self.communication_s, self.exposed_s = np.zeros((3, len(slowness)))
        self._env = env
        self._index = index
        self._slowness = slowness
        self._communication = communication
        self._taken = taken
        self._observer = observer
        # on each stream besides compute, whose next steps may overlap it
        self._under_way: dict[Stream, list[_Interval]] = {stream: [] for stream in _BESIDES}
        self._host = np.zeros(len(slowness))  # when the host last waited for something
        self._waits: list[_Interval] = []  # of the compute stream; what follows on the others may overlap them
        # where collectives slow kernels down
        self._collectives: list[_Interval] = []
        self._computing: list[_Interval] = []

    def run(self, steps: list[Step], meetings: Meetings, mailboxes: Mailboxes) -> Generator[Any, Any, None]:
        """Do all steps in the order in which they were issued."""
        ends: dict[int, Seconds] = {}
        waiters = Counter(wait for step in steps for wait in step.waits)
        overtaken = _overtaken(steps)
        for index, step in enumerate(steps):
            ready = functools.reduce(np.maximum, (ends[wait] for wait in step.waits), self.clock[step.stream])
            yield self._env.timeout(max(0.0, float(ready.max()) - self._env.now))
            start, end = yield from self._work(step, ready, meetings, mailboxes)
            if step.host_s is not None:
                self._host = np.maximum(self._host + step.host_s, end)
            if self._observer:
                self._observer(self._index, self.role, step, ready=ready, start=start, end=end)
            self._spend(step, start, end, remember=overtaken[index])
            for wait in step.waits:
                waiters[wait] -= 1
                if not waiters[wait]:
                    del ends[wait]  # the times of all ranks at all steps would not fit into memory
            if waiters[index]:
                ends[index] = end

    def finish(self, step_s: float) -> None:
        """Let all ranks wait for the end of the step."""
        self._wait(np.full_like(self._slowness, step_s), remember=False)

    def _work(
        self, step: Step, ready: Seconds, meetings: Meetings, mailboxes: Mailboxes
    ) -> Generator[Any, Any, tuple[Seconds, Seconds]]:
        """Do one step; returns from when to when each rank is at it."""
        work = step.work
        if isinstance(work, Compute):
            end = ready + work.seconds * self._slowness
            if work.issued_s:
                end = np.maximum(end, self._host + work.issued_s)
            return ready, self._beside_collectives(ready, end)
        if isinstance(work, Collective):
            others = meetings.others(self._index, work)
            self.waits_for = f"{_listed(others)} to join {work.kind} along {', '.join(work.axes)}"
            start = yield from meetings.meet(self._index, work, ready)
            return start, start + self._communication.collective(work).seconds
        if isinstance(work, Send):
            seconds = self._communication.send(work, self.role.where).seconds
            return ready, mailboxes.post(self._index, work, ready, seconds)
        senders = mailboxes.senders(self._index, work)
        self.waits_for = f"{_listed(senders)} to send {work.nbytes:,} B along {work.axis} ({-work.offset:+d})"
        return (yield from mailboxes.receive(self._index, work, ready))

    def _spend(self, step: Step, start: Seconds, end: Seconds, *, remember: bool) -> None:
        """Account for a step and move the clock of its stream."""
        took = end - start
        if step.stream is Stream.COMPUTE:
            self._wait(start, remember=remember)
            if isinstance(step.work, Compute):
                self.compute_s += took
                if self._taken and remember:
                    self._computing.append((start, end, float(end.max())))
            else:
                self.communication_s += took
                self.exposed_s += took
        else:
            self.communication_s += took
            (other,) = (stream for stream in _BESIDES if stream is not step.stream)
            for since, until, _ in self._waits:
                self.exposed_s += _alone(np.maximum(start, since), np.minimum(end, until), self._under_way[other])
            self._under_way[step.stream].append((start, end, float(end.max())))
            if self._taken and isinstance(step.work, Collective):
                self._slow_down(start, end)
        self.clock[step.stream] = end
        self._forget()

    def _beside_collectives(self, start: Seconds, end: Seconds) -> Seconds:
        """When kernels end of which collectives that are known already take a part of the device."""
        for since, until, _ in self._collectives:
            begin = np.maximum(start, since)
            whole = begin + (end - begin) / (1 - self._taken)
            partly = end + self._taken * (until - begin)
            end = np.where((begin < end) & (begin < until), np.minimum(whole, partly), end)
        return end

    def _slow_down(self, start: Seconds, end: Seconds) -> None:
        """Let a collective take a part of the device from kernels that began before it was known."""
        late = self._taken * _overlap(start, end, self._computing)
        self.compute_s += late
        self.clock[Stream.COMPUTE] += late  # and so of all that waits for the last of the kernels
        self._collectives.append((start, end, float(end.max())))

    def _wait(self, until: Seconds, *, remember: bool) -> None:
        """Let the compute stream wait until then."""
        since = self.clock[Stream.COMPUTE]
        if (until > since).any():
            first, second = (self._under_way[stream] for stream in _BESIDES)
            self.exposed_s += _overlap(since, until, first)
            for start, end, _ in second:
                self.exposed_s += _alone(np.maximum(start, since), np.minimum(end, until), first)
            if remember:
                self._waits.append((since, until, float(until.max())))

    def _forget(self) -> None:
        """Let go of intervals that nothing can overlap any more."""
        besides = min(float(self.clock[stream].min()) for stream in _BESIDES)
        self._waits = [wait for wait in self._waits if wait[2] > besides]
        earliest = float(self.clock[Stream.COMPUTE].min())
        earliest = min([earliest, *(float(since.min()) for since, _, _ in self._waits)])
        self._computing = [interval for interval in self._computing if interval[2] > besides]
        self._collectives = [interval for interval in self._collectives if interval[2] > earliest]
        for stream, intervals in self._under_way.items():
            self._under_way[stream] = [interval for interval in intervals if interval[2] > earliest]


def _alone(since: Seconds, until: Seconds, others: list[_Interval]) -> Seconds:
    """Time of an interval, which may be empty, that it has in common with none of the others."""
    return np.maximum(until - since, 0.0) - _overlap(since, until, others)


def _overlap(since: Seconds, until: Seconds, others: list[_Interval]) -> Seconds:
    """Time that an interval has in common with others, which do not overlap each other."""
    common = np.zeros_like(since)
    for start, end, _ in others:
        common += np.maximum(np.minimum(end, until) - np.maximum(start, since), 0.0)
    return common


def _overtaken(steps: list[Step]) -> list[bool]:
    """Whether a stream beside compute, which is issued later, may begin something before each step of compute ends."""
    by_stream = [_overtaken_by(stream, steps) for stream in _BESIDES]
    return [any(each) for each in zip(*by_stream, strict=True)]


def _overtaken_by(stream: Stream, steps: list[Step]) -> list[bool]:
    following: Step | None = None
    overtaken = []
    for index, step in reversed(list(enumerate(steps))):
        waits = () if following is None else following.waits
        is_held = any(wait >= index and steps[wait].stream is Stream.COMPUTE for wait in waits)
        overtaken.append(following is not None and not is_held)
        following = step if step.stream is stream else following
    return overtaken[::-1]


def _listed(names: list[str]) -> str:
    return ", ".join(f"role {name!r}" for name in names) or "nobody"


def _together(workload: Workload, actors: list[_Actor]) -> Replay:
    """Let all ranks wait for the last, and put the roles side by side."""
    step_s = max(float(clock.max()) for actor in actors for clock in actor.clock.values())
    parts = np.zeros((3, workload.mesh.world_size))
    for actor in actors:
        actor.finish(step_s)
        parts[:, workload.ranks(actor.role)] = actor.compute_s, actor.communication_s, actor.exposed_s
    compute_s, communication_s, exposed_s = parts
    idle_s = np.maximum(step_s - compute_s - exposed_s, 0.0)  # rounding may leave less than nothing
    return Replay(
        step_s=step_s, compute_s=compute_s, communication_s=communication_s, exposed_s=exposed_s, idle_s=idle_s
    )
