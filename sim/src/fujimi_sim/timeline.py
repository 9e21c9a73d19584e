"""What the first rank of each role does when, in one simulated step."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from fujimi_core.mesh import Mesh
from fujimi_core.units import format_quantity
from fujimi_core.workload import Collective, Event, Kernel, Recv, Role, Send, Stream

from fujimi_sim.meetings import Seconds
from fujimi_sim.network.timer import Timing
from fujimi_sim.replay import Communication
from fujimi_sim.steps import Step


class What(StrEnum):
    """Kinds of slices."""

    #: Kernels that nothing comes between.
    KERNELS = "kernels"
    #: One of several kernels of a run, which it lies in.
    KERNEL = "kernel"
    #: A collective or a message under way.
    COMMUNICATION = "communication"
    #: For other ranks, or for the other stream.
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What one stream does for a while.

    Args:
        stream: Which.
        what: Which kind of thing.
        name: For people.
        start_s: From the start of the step.
        end_s: Likewise.
        details: More about it, by name.
    """

    stream: Stream
    what: What
    name: str
    start_s: float
    end_s: float
    details: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """The step of one rank.

    Args:
        role: Name of its role.
        rank: The role's first.
        ranks: How many the role has.
        slices: By stream, in order of time; a run of kernels comes before those that lie in it.
    """

    role: str
    rank: int
    ranks: int
    slices: tuple[Slice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """One step.

    Args:
        step_s: Until the last rank is done.
        tracks: One a role.
    """

    step_s: float
    tracks: tuple[Track, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """A step of the first rank of a role."""

    step: Step
    ready_s: float
    start_s: float
    end_s: float


class Recorder:
    """An observer of a replay that keeps what the first rank of each role does."""

    def __init__(self) -> None:
        self._roles: dict[int, Role] = {}
        self._moments: dict[int, list[_Moment]] = {}

    def __call__(self, index: int, role: Role, step: Step, *, ready: Seconds, start: Seconds, end: Seconds) -> None:
        """Keep a step."""
        self._roles[index] = role
        moment = _Moment(step=step, ready_s=float(ready[0]), start_s=float(start[0]), end_s=float(end[0]))
        self._moments.setdefault(index, []).append(moment)

    def timeline(
        self,
        mesh: Mesh,
        *,
        step_s: float,
        kernel_seconds: Callable[[Kernel], float],
        communication: Communication,
    ) -> Timeline:
        """All that was seen, in words.

        Args:
            mesh: All ranks.
            step_s: When the last rank was done.
            kernel_seconds: As in the replay.
            communication: As in the replay.
        """
        tracks = []
        for index, role in sorted(self._roles.items()):
            ranks = mesh.slice(role.where)
            words = _Words(role, mesh, kernel_seconds, communication)
            slices = tuple(_slices(self._moments[index], words, step_s))
            tracks.append(Track(role=role.name, rank=int(ranks[0]), ranks=len(ranks), slices=slices))
        return Timeline(step_s=step_s, tracks=tuple(tracks))


class _Words:
    """Names and details of a role's events."""

    def __init__(
        self, role: Role, mesh: Mesh, kernel_seconds: Callable[[Kernel], float], communication: Communication
    ) -> None:
        self._role = role
        self._mesh = mesh
        self._kernel_seconds = kernel_seconds
        self._communication = communication

    def events(self, step: Step) -> list[Event]:
        return [self._role.events[index] for index in step.events]

    def name(self, step: Step) -> str:
        """Of what the step does: an operator, the phases of a run, a collective or a message."""
        first, *more = self.events(step)
        if isinstance(first, Kernel):
            phases = dict.fromkeys(each.phase for each in (first, *more) if each.phase)
            return " + ".join(phases) or "kernels" if more else first.op
        size = format_quantity(first.nbytes, "B")
        if isinstance(first, Collective):
            return f"{first.kind.value} {size} along {', '.join(first.axes)}"
        return f"{first.KIND} {size} along {first.axis} {first.offset:+d}"

    def details(self, step: Step) -> dict[str, object]:
        first, *more = self.events(step)
        if more:
            return self._run([each for each in (first, *more) if isinstance(each, Kernel)])
        return self.kernel(first) if isinstance(first, Kernel) else self._message(first)

    def kernel(self, kernel: Kernel) -> dict[str, object]:
        shapes = " ".join("x".join(map(str, shape)) or "scalar" for shape in kernel.shapes)
        return {
            "phase": kernel.phase,
            "dtype": kernel.dtype,
            "shapes": shapes,
            "flops": kernel.flops,
            "bytes": kernel.nbytes,
        }

    def seconds(self, kernels: Iterable[Event]) -> list[float]:
        """Times of kernels on a rank of average speed."""
        return [self._kernel_seconds(each) for each in kernels if isinstance(each, Kernel)]

    def _run(self, kernels: Sequence[Kernel]) -> dict[str, object]:
        """Operators of a run by their share of its time."""
        took: dict[str, float] = {}
        for each, seconds in zip(kernels, self.seconds(kernels), strict=True):
            took[each.op] = took.get(each.op, 0.0) + seconds
        total = sum(took.values()) or 1.0
        by_share = sorted(took, key=took.__getitem__, reverse=True)
        return {
            "kernels": len(kernels),
            "flops": sum(each.flops for each in kernels),
            "bytes": sum(each.nbytes for each in kernels),
            "ops": {op: f"{took[op] / total:.1%}" for op in by_share},
        }

    def _message(self, event: Collective | Send | Recv) -> dict[str, object]:
        common = {"phase": event.phase, "bytes": event.nbytes}
        if isinstance(event, Recv):
            return common | {"from": f"{event.offset:+d} along {event.axis}"}
        if isinstance(event, Send):
            timing = self._communication.send(event, self._role.where)
            return common | {"to": f"{event.offset:+d} along {event.axis}"} | _timing(timing)
        members = self._mesh.groups(event.axes).shape[1]
        timing = self._communication.collective(event)
        return common | {"dtype": event.dtype, "ranks of a group": members} | _timing(timing)


def _timing(timing: Timing) -> dict[str, object]:
    return {"algorithm": timing.algorithm, "most of it": timing.bottleneck}


def _slices(moments: Sequence[_Moment], words: _Words, step_s: float) -> Iterator[Slice]:
    """What both streams of a rank do, and for what they wait, sorted by stream and time."""
    clock = dict.fromkeys(Stream, 0.0)
    ends: dict[int, tuple[float, str]] = {}
    found = []
    for index, moment in enumerate(moments):
        stream, name = moment.step.stream, words.name(moment.step)
        if stream is Stream.COMPUTE:
            _, last = max((ends[wait] for wait in moment.step.waits), default=(0.0, ""))
            found.append(_wait(stream, last or "other ranks", clock[stream], moment.ready_s))
        found.append(_wait(stream, f"other ranks: {name}", moment.ready_s, moment.start_s))
        found += _work(moment, name, words)
        ends[index] = moment.end_s, name
        clock[stream] = moment.end_s
    found.append(_wait(Stream.COMPUTE, "the end of the step", clock[Stream.COMPUTE], step_s))
    least_s = 1e-9 * step_s  # shorter waits are differences of rounding
    kept = [each for each in found if each.what is not What.WAIT or each.end_s - each.start_s > least_s]
    yield from (each for stream in Stream for each in kept if each.stream is stream)


def _wait(stream: Stream, what: str, start_s: float, end_s: float) -> Slice:
    return Slice(stream=stream, what=What.WAIT, name=f"waits for {what}", start_s=start_s, end_s=end_s)


def _work(moment: _Moment, name: str, words: _Words) -> Iterator[Slice]:
    step, events = moment.step, words.events(moment.step)
    is_run = isinstance(events[0], Kernel)
    yield Slice(
        stream=step.stream,
        what=What.KERNELS if is_run else What.COMMUNICATION,
        name=name,
        start_s=moment.start_s,
        end_s=moment.end_s,
        details=words.details(step),
    )
    if len(events) > 1:
        yield from _kernels(moment, words)


def _kernels(moment: _Moment, words: _Words) -> Iterator[Slice]:
    """Kernels of a run, stretched to the speed of the rank."""
    events = words.events(moment.step)
    seconds = words.seconds(events)
    stretch = (moment.end_s - moment.start_s) / (sum(seconds) or 1.0)
    at = moment.start_s
    for event, took in zip(events, seconds, strict=True):
        if isinstance(event, Kernel):
            end_s = min(at + took * stretch, moment.end_s)
            yield Slice(
                stream=moment.step.stream,
                what=What.KERNEL,
                name=event.op,
                start_s=at,
                end_s=end_s,
                details=words.kernel(event),
            )
            at = end_s
