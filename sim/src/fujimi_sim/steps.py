"""A role's events as few steps: kernels that nothing comes between are one."""

from collections.abc import Callable
from dataclasses import dataclass

from fujimi_core.workload import Collective, Event, Kernel, Recv, Send, Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """Kernels that run one after the other.

    Args:
        seconds: All of them, on a rank of average speed.
        issued_s: When they are done at the earliest, because the host starts them one by one; from the step's start.
    """

    seconds: float
    issued_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that a stream does.

    Args:
        stream: Which.
        waits: Indices of earlier steps that must have ended, besides the one before on the stream.
        work: What it is.
    """

    stream: Stream
    waits: tuple[int, ...]
    work: Compute | Collective | Send | Recv


def steps_of(
    events: tuple[Event, ...], kernel_seconds: Callable[[Kernel], float], *, issue_s: float = 0.0
) -> list[Step]:
    """Join kernels into runs; a run ends where another event waits for it or the next kernel waits for something.

    The host issues events in their order and never waits, so the n-th kernel cannot start before ``n · issue_s``: a run
    is done at the latest of ``ready + Σ seconds`` and, over its kernels, ``issued + Σ seconds from there on``.

    Args:
        events: Of one role, in order of issue.
        kernel_seconds: Time of a kernel.
        issue_s: Time of the host to start one kernel.
    """
    awaited = {wait for event in events for wait in event.waits}
    growing: dict[Stream, int] = {}  # run that the next kernel on a stream may join
    step_of: list[int] = []
    firsts: list[Event] = []
    seconds: list[float] = []
    issued: list[float] = []
    host_s = 0.0
    for index, event in enumerate(events):
        step = growing.pop(event.stream, None)
        if step is None or event.waits or not isinstance(event, Kernel):
            step = len(firsts)
            firsts.append(event)
            seconds.append(0.0)
            issued.append(0.0)
        if isinstance(event, Kernel):
            host_s += issue_s
            took = kernel_seconds(event)
            seconds[step] += took
            issued[step] = max(issued[step], host_s) + took
            if index not in awaited:
                growing[event.stream] = step
        step_of.append(step)
    return [
        Step(
            stream=first.stream,
            waits=tuple(sorted({step_of[wait] for wait in first.waits})),
            work=Compute(seconds=total, issued_s=earliest if issue_s else 0.0) if isinstance(first, Kernel) else first,
        )
        for first, total, earliest in zip(firsts, seconds, issued, strict=True)
    ]
