"""A role's events as few steps: kernels that nothing comes between are one."""

from collections.abc import Callable
from dataclasses import dataclass

from fujimi_core.workload import Collective, Event, Kernel, Recv, Send, Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """Kernels that run one after the other.

    Args:
        seconds: All of them, on a rank of average speed.
    """

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that a stream does.

    Args:
        stream: Which.
        waits: Indices of earlier steps that must have ended, besides the one before on the stream.
        work: What it is.
        events: Indices of the role's events that it is made of, in order of issue.
    """

    stream: Stream
    waits: tuple[int, ...]
    work: Compute | Collective | Send | Recv
    events: tuple[int, ...]


def steps_of(events: tuple[Event, ...], kernel_seconds: Callable[[Kernel], float]) -> list[Step]:
    """Join kernels into runs; a run ends where another event waits for it or the next kernel waits for something.

    Args:
        events: Of one role, in order of issue.
        kernel_seconds: Time of a kernel.
    """
    awaited = {wait for event in events for wait in event.waits}
    growing: dict[Stream, int] = {}  # run that the next kernel on a stream may join
    step_of: list[int] = []
    firsts: list[Event] = []
    seconds: list[float] = []
    members: list[list[int]] = []
    for index, event in enumerate(events):
        step = growing.pop(event.stream, None)
        if step is None or event.waits or not isinstance(event, Kernel):
            step = len(firsts)
            firsts.append(event)
            seconds.append(0.0)
            members.append([])
        members[step].append(index)
        if isinstance(event, Kernel):
            seconds[step] += kernel_seconds(event)
            if index not in awaited:
                growing[event.stream] = step
        step_of.append(step)
    return [
        Step(
            stream=first.stream,
            waits=tuple(sorted({step_of[wait] for wait in first.waits})),
            work=Compute(seconds=total) if isinstance(first, Kernel) else first,
            events=tuple(indices),
        )
        for first, total, indices in zip(firsts, seconds, members, strict=True)
    ]
