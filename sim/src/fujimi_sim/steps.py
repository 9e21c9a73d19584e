"""A role's events as few steps: kernels that nothing comes between are one."""

from collections.abc import Callable
from dataclasses import dataclass

from fujimi_core.workload import Collective, Event, Kernel, Recv, Send, Stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """Kernels that run one after the other.

    Args:
        seconds: All of them, on a rank of average speed.
        issued_s: When they are done at the earliest, because the host starts them one by one; since it last waited.
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
        events: Indices of the role's events that it is made of, in order of issue.
        host_s: If the host waits for it: for how long it started kernels since it last waited.
    """

    stream: Stream
    waits: tuple[int, ...]
    work: Compute | Collective | Send | Recv
    events: tuple[int, ...]
    host_s: float | None = None


def steps_of(
    events: tuple[Event, ...], kernel_seconds: Callable[[Kernel], float], *, issue_s: float = 0.0
) -> list[Step]:
    """Join kernels into runs; a run ends where another event waits for it or the next kernel waits for something.

    The host issues events in their order. It waits for what it receives, and for collectives whose result it uses at
    once; the n-th kernel after one of them cannot start before ``n · issue_s``. A run is done at the latest of ``ready
    + Σ seconds`` and, over its kernels, ``issued + Σ seconds from there on``.

    Args:
        events: Of one role, in order of issue.
        kernel_seconds: Time of a kernel.
        issue_s: Time of the host to start one kernel; 0 if the device runs the program itself.

    Source:
        NVIDIA/Megatron-LM, ``megatron/p2p_communication.py``: ``torch.cuda.synchronize()`` after each exchange. Of
        collectives no document says so; measured runs with tensor ranks do (plugins/gpu/README.md).
    """
    awaited = {wait for event in events for wait in event.waits}
    growing: dict[Stream, int] = {}  # run that the next kernel on a stream may join
    step_of: list[int] = []
    made: list[_Growing] = []
    host_s = 0.0
    for index, event in enumerate(events):
        step = growing.pop(event.stream, None)
        if step is None or event.waits or not isinstance(event, Kernel):
            step = len(made)
            made.append(_Growing(event))
        made[step].events.append(index)
        if isinstance(event, Kernel):
            host_s += issue_s
            took = kernel_seconds(event)
            made[step].seconds += took
            made[step].issued_s = (max(made[step].issued_s, host_s) + took) if issue_s else 0.0
            if index not in awaited:
                growing[event.stream] = step
        elif issue_s and _holds_host(index, events):
            made[step].host_s, host_s = host_s, 0.0
        step_of.append(step)
    return [each.finished(step_of) for each in made]


def _holds_host(index: int, events: tuple[Event, ...]) -> bool:
    """Whether the host waits for a message or a collective before it goes on."""
    following = events[index + 1].waits if index + 1 < len(events) else ()
    return isinstance(events[index], Recv) or (isinstance(events[index], Collective) and index in following)


class _Growing:
    """A step to which kernels may still be added."""

    def __init__(self, first: Event) -> None:
        self.first = first
        self.events: list[int] = []
        self.seconds = self.issued_s = 0.0
        self.host_s: float | None = None

    def finished(self, step_of: list[int]) -> Step:
        """The step, when it is known which step each event is in."""
        first = self.first
        return Step(
            stream=first.stream,
            waits=tuple(sorted({step_of[wait] for wait in first.waits})),
            work=Compute(seconds=self.seconds, issued_s=self.issued_s) if isinstance(first, Kernel) else first,
            events=tuple(self.events),
            host_s=self.host_s,
        )
