"""Timelines: what the first rank of a role does, for what it waits, and what it is called."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from fujimi_core.mesh import Mesh
from fujimi_core.workload import Collective, CollectiveKind, Event, Kernel, Recv, Role, Send, Stream, Workload
from fujimi_sim.network.timer import Timing
from fujimi_sim.replay import replay
from fujimi_sim.timeline import Recorder, Slice, Timeline, What


class AByteASecond:
    """Communication that takes a second a byte."""

    def collective(self, collective: Collective) -> Timing:
        return Timing(seconds=collective.nbytes, algorithm="ring", bottleneck="link +x")

    def send(self, send: Send, where: Mapping[str, tuple[int, int]]) -> Timing:
        return Timing(seconds=send.nbytes, algorithm="send", bottleneck="latency")


def kernel(seconds: int, op: str = "aten.mm", **fields: Any) -> Kernel:
    return Kernel(op=op, dtype="float32", flops=seconds, nbytes=7, **fields)


def reduce(seconds: int, **fields: Any) -> Collective:
    return Collective(kind=CollectiveKind.ALL_REDUCE, nbytes=seconds, axes=("dp",), dtype="float32", **fields)


def seen(mesh: Mesh, roles: Sequence[Role], slowness: Sequence[float] = ()) -> Timeline:
    recorder = Recorder()
    result = replay(
        Workload(job="j", mesh=mesh, samples_per_step=1, roles=tuple(roles)),
        kernel_seconds=lambda kernel: float(kernel.flops),
        communication=AByteASecond(),
        slowness=np.array(slowness or [1.0] * mesh.world_size),
        observer=recorder,
    )
    return recorder.timeline(
        mesh,
        step_s=result.step_s,
        kernel_seconds=lambda kernel: float(kernel.flops),
        communication=AByteASecond(),
    )


def of_one_role(*events: Event, slowness: Sequence[float] = (1.0, 1.0)) -> tuple[Slice, ...]:
    (track,) = seen(Mesh.of(dp=len(slowness)), [Role(name="rank", events=events)], slowness).tracks
    return track.slices


def drawn(slices: Sequence[Slice], stream: Stream) -> list[tuple[str, float, float]]:
    return [(each.what.value, each.start_s, each.end_s) for each in slices if each.stream is stream]


def test_compute_waits_for_the_collective_that_it_needs() -> None:
    slices = of_one_role(kernel(10), reduce(3, waits=(0,)), kernel(2, waits=(1,)))
    assert drawn(slices, Stream.COMPUTE) == [("kernels", 0, 10), ("wait", 10, 13), ("kernels", 13, 15)]
    assert drawn(slices, Stream.COMMUNICATION) == [("communication", 10, 13)]
    assert slices[1].name == "waits for all_reduce 3 B along dp"


def test_rank_that_comes_early_to_a_collective_waits_for_the_slow_one() -> None:
    slices = of_one_role(kernel(10), reduce(3, waits=(0,)), slowness=(1.0, 1.5))
    assert drawn(slices, Stream.COMMUNICATION) == [("wait", 10, 15), ("communication", 15, 18)]
    assert drawn(slices, Stream.COMPUTE) == [("kernels", 0, 10), ("wait", 10, 18)]
    assert [each.name for each in slices if each.what is What.WAIT] == [
        "waits for the end of the step",
        "waits for other ranks: all_reduce 3 B along dp",
    ]


def test_kernels_of_a_run_lie_in_it_stretched_to_the_speed_of_the_rank() -> None:
    events = kernel(1, "aten.add", phase="forward"), kernel(3, phase="forward"), kernel(4, phase="backward")
    run, *kernels = of_one_role(*events, slowness=(2.0,))
    assert (run.name, run.what, run.start_s, run.end_s) == ("forward + backward", What.KERNELS, 0, 16)
    assert run.details["ops"] == {"aten.mm": "87.5%", "aten.add": "12.5%"}
    assert (run.details["flops"], run.details["bytes"]) == (8, 21)
    assert [(each.name, each.start_s, each.end_s) for each in kernels] == [
        ("aten.add", 0, 2),
        ("aten.mm", 2, 8),
        ("aten.mm", 8, 16),
    ]
    assert {each.what for each in kernels} == {What.KERNEL}


def test_kernel_alone_is_called_by_its_operator() -> None:
    (alone,) = of_one_role(kernel(1, "aten.gelu", shapes=((2, 3), ()), phase="forward"))
    assert alone.name == "aten.gelu"
    assert alone.details == {"phase": "forward", "dtype": "float32", "shapes": "2x3 scalar", "flops": 1, "bytes": 7}


def test_collective_says_its_bytes_group_and_algorithm() -> None:
    (found,) = (each for each in of_one_role(reduce(3, phase="backward")) if each.what is What.COMMUNICATION)
    assert found.details == {
        "phase": "backward",
        "bytes": 3,
        "dtype": "float32",
        "ranks of a group": 2,
        "algorithm": "ring",
        "most of it": "link +x",
    }


def test_receiver_waits_until_its_message_is_under_way() -> None:
    first = Role(
        name="first",
        where={"pp": (0, 1)},
        events=(kernel(5), Send(nbytes=2, axis="pp", offset=1, waits=(0,))),
    )
    last = Role(
        name="last",
        where={"pp": (1, 2)},
        events=(Recv(nbytes=2, axis="pp", offset=-1), kernel(1, waits=(0,))),
    )
    timeline = seen(Mesh.of(pp=2, dp=3), [first, last])
    assert [(track.role, track.rank, track.ranks) for track in timeline.tracks] == [("first", 0, 3), ("last", 3, 3)]
    assert timeline.step_s == 8
    slices = timeline.tracks[1].slices
    assert drawn(slices, Stream.COMMUNICATION) == [("wait", 0, 5), ("communication", 5, 7)]
    assert drawn(slices, Stream.COMPUTE) == [("wait", 0, 7), ("kernels", 7, 8)]
    assert slices[0].name == "waits for recv 2 B along pp -1"


@pytest.mark.parametrize("slowness", [(1.0, 1.0), (1.3, 0.9), (0.7, 1.1)])
def test_a_stream_does_one_thing_at_a_time(slowness: tuple[float, ...]) -> None:
    events = kernel(10), reduce(6, waits=(0,)), kernel(5), reduce(4, waits=(2,)), kernel(2, waits=(1, 3))
    slices = [each for each in of_one_role(*events, slowness=slowness) if each.what is not What.KERNEL]
    for stream in Stream:
        mine = [each for each in slices if each.stream is stream]
        assert all(one.end_s <= other.start_s for one, other in itertools.pairwise(mine))
