"""A role's events as few steps: kernels that nothing comes between are one."""

from collections.abc import Callable
from dataclasses import dataclass

from fujimi_core.workload import Collective, Event, Kernel, Recv, Send, Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """Kernels that run one after the other.

    Args:
        seconds: All of them, on a node of average speed.
    """

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that a stream does.

    Args:
        stream: Which.
        waits: Indices of earlier steps that must have ended.
        work: What it is.
    """

    stream: Stream
    waits: tuple[int, ...]
    work: Compute | Collective | Send | Recv


def steps_of(events: tuple[Event, ...], kernel_seconds: Callable[[Kernel], float]) -> list[Step]:
    """Join kernels into runs; a run ends where another event waits for it or the next kernel waits for something.

    Args:
        events: Of one role.
        kernel_seconds: Time of a kernel.
    """
    awaited = {wait for event in events for wait in event.waits}
    runs: dict[Stream, int] = {}
    step_of: list[int] = []
    steps: list[Step] = []
    for index, event in enumerate(events):
        waits = tuple(sorted({step_of[wait] for wait in event.waits}))
        if not isinstance(event, Kernel):
            runs.pop(event.stream, None)
            step_of.append(len(steps))
            steps.append(Step(stream=event.stream, waits=waits, work=event))
            continue
        seconds = kernel_seconds(event)
        run = runs.get(event.stream)
        if run is None or waits:
            run = len(steps)
            steps.append(Step(stream=event.stream, waits=waits, work=Compute(seconds=seconds)))
        else:
            steps[run] = _longer(steps[run], seconds)
        step_of.append(run)
        if index in awaited:
            runs.pop(event.stream, None)
        else:
            runs[event.stream] = run
    return steps


def _longer(step: Step, seconds: float) -> Step:
    before = step.work.seconds if isinstance(step.work, Compute) else 0.0
    return Step(stream=step.stream, waits=step.waits, work=Compute(seconds=before + seconds))
