"""Runs of kernels: joined where nothing comes between, cut where something waits."""

from typing import Any

import numpy as np
import pytest
from fujimi_core.mesh import Mesh
from fujimi_core.workload import Collective, CollectiveKind, Event, Kernel, Recv, Role, Send, Stream, Workload
from fujimi_sim.network.timer import Timing
from fujimi_sim.replay import replay
from fujimi_sim.steps import Compute, steps_of
from hypothesis import given
from hypothesis import strategies as st


def kernel(seconds: int, **fields: Any) -> Kernel:
    return Kernel(op="aten.mm", dtype="float32", flops=seconds, nbytes=0, **fields)


def reduce(**fields: Any) -> Collective:
    return Collective(kind=CollectiveKind.ALL_REDUCE, nbytes=1, axes=("dp",), dtype="float32", **fields)


def seconds(event: Kernel) -> float:
    return float(event.flops)


def steps(*events: Event) -> list[tuple[object, tuple[int, ...]]]:
    """What each step does, in seconds or as it was, and its waits."""
    found = steps_of(events, seconds)
    return [(step.work.seconds if isinstance(step.work, Compute) else step.work, step.waits) for step in found]


def test_kernels_in_a_row_are_one_step() -> None:
    assert steps(kernel(1), kernel(2), kernel(4)) == [(7.0, ())]


def test_run_ends_at_a_kernel_that_something_waits_for() -> None:
    collective = reduce(waits=(1,))
    assert steps(kernel(1), kernel(2), collective, kernel(4)) == [(3.0, ()), (collective, (0,)), (4.0, ())]


def test_run_goes_on_past_communication_that_waits_for_none_of_it() -> None:
    collective = reduce()
    assert steps(kernel(1), collective, kernel(2)) == [(3.0, ()), (collective, ())]


def test_kernel_that_waits_begins_a_run() -> None:
    collective = reduce(waits=(0,))
    found = steps(kernel(1), collective, kernel(2), kernel(4, waits=(1,)), kernel(8))
    assert found == [(1.0, ()), (collective, (0,)), (2.0, ()), (12.0, (1,))]


def test_waits_for_kernels_of_one_run_are_one_wait() -> None:
    late = kernel(4, waits=(0, 1))
    assert steps(kernel(1), kernel(2), late) == [(1.0, ()), (2.0, ()), (4.0, (0, 1))]
    assert steps(kernel(1), reduce(waits=(0,)), kernel(2, waits=(0, 1)))[2] == (2.0, (0, 1))


def test_communication_on_the_compute_stream_cuts_the_run() -> None:
    collective = reduce(stream=Stream.COMPUTE)
    assert steps(kernel(1), collective, kernel(2)) == [(1.0, ()), (collective, ()), (2.0, ())]


def test_each_stream_has_runs_of_its_own() -> None:
    aside = Stream.COMMUNICATION
    found = steps(kernel(1), kernel(2, stream=aside), kernel(4), kernel(8, stream=aside))
    assert found == [(5.0, ()), (10.0, ())]


def test_messages_stay_what_they_are() -> None:
    send, receive = Send(nbytes=1, axis="dp", offset=1), Recv(nbytes=1, axis="dp", offset=-1)
    assert steps(send, receive) == [(send, ()), (receive, ())]


def test_nothing_makes_no_steps() -> None:
    assert steps() == []


@st.composite
def event_lists(draw: st.DrawFn) -> tuple[Event, ...]:
    events: list[Event] = []
    for index in range(draw(st.integers(1, 12))):
        waits = tuple(sorted(draw(st.sets(st.integers(0, index - 1), max_size=2)))) if index else ()
        stream = draw(st.sampled_from(list(Stream)))
        if draw(st.booleans()):
            events.append(kernel(draw(st.integers(0, 9)), stream=stream, waits=waits))
        else:
            events.append(reduce(stream=stream, waits=waits))
    return tuple(events)


class OneSecond:
    def collective(self, collective: Collective) -> Timing:
        return Timing(seconds=1.0, algorithm="", bottleneck="")

    def send(self, send: Send, where: object) -> Timing:
        raise AssertionError("nobody sends")


@given(event_lists())
def test_no_time_is_lost_or_made(events: tuple[Event, ...]) -> None:
    total = sum(step.work.seconds for step in steps_of(events, seconds) if isinstance(step.work, Compute))
    assert total == sum(event.flops for event in events if isinstance(event, Kernel))


@given(event_lists())
def test_joined_kernels_end_when_single_ones_would(events: tuple[Event, ...]) -> None:
    # one rank, so that the definition is three lines
    ends: list[float] = []
    clock = dict.fromkeys(Stream, 0.0)
    for event in events:
        took = seconds(event) if isinstance(event, Kernel) else 1.0
        clock[event.stream] = max([clock[event.stream], *(ends[wait] for wait in event.waits)]) + took
        ends.append(clock[event.stream])
    role = Role(name="all", events=events)
    workload = Workload(job="j", mesh=Mesh.of(dp=1), samples_per_step=1, roles=(role,))
    replayed = replay(workload, kernel_seconds=seconds, communication=OneSecond(), slowness=np.ones(1))
    assert replayed.step_s == pytest.approx(max(clock.values()))
