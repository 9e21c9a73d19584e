"""Replay against closed forms: data parallelism, pipelines, both, and workloads that cannot end."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from fujimi_core.errors import WorkloadError
from fujimi_core.mesh import Mesh
from fujimi_core.workload import Collective, CollectiveKind, Event, Kernel, Recv, Role, Send, Stream, Workload
from fujimi_sim.meetings import Seconds
from fujimi_sim.network.timer import Timing
from fujimi_sim.replay import Replay, replay


class AByteASecond:
    """Communication that takes a second a byte."""

    def collective(self, collective: Collective) -> Timing:
        return Timing(seconds=collective.nbytes, algorithm="", bottleneck="")

    def send(self, send: Send, where: Mapping[str, tuple[int, int]]) -> Timing:
        return Timing(seconds=send.nbytes, algorithm="", bottleneck="")


def kernel(seconds: int, **fields: Any) -> Kernel:
    return Kernel(op="aten.mm", dtype="float32", flops=seconds, nbytes=0, **fields)


def reduce(seconds: int, *axes: str, **fields: Any) -> Collective:
    return Collective(kind=CollectiveKind.ALL_REDUCE, nbytes=seconds, axes=axes or ("dp",), dtype="float32", **fields)


def run(
    mesh: Mesh, roles: Sequence[Role], slowness: Seconds | None = None, taken: float = 0.0, issue_s: float = 0.0
) -> Replay:
    workload = Workload(job="j", mesh=mesh, samples_per_step=1, roles=tuple(roles))
    return replay(
        workload,
        kernel_seconds=lambda kernel: float(kernel.flops),
        communication=AByteASecond(),
        slowness=np.ones(mesh.world_size) if slowness is None else slowness,
        issue_s=issue_s,
        taken=taken,
    )


def data_parallel(*events: Event, ranks: int = 4, slowness: Seconds | None = None, taken: float = 0.0) -> Replay:
    return run(Mesh.of(dp=ranks), [Role(name="rank", events=events)], slowness, taken)


# data parallelism


def test_all_reduce_after_compute_is_wholly_exposed() -> None:
    result = data_parallel(kernel(10), reduce(3, waits=(0,)))
    assert result.step_s == 13
    assert result.compute_s.tolist() == [10] * 4
    assert result.communication_s.tolist() == result.exposed_s.tolist() == [3] * 4
    assert result.idle_s.tolist() == [0] * 4


def test_all_reduce_beside_compute_is_wholly_hidden() -> None:
    result = data_parallel(kernel(10), reduce(3, waits=(0,)), kernel(5))
    assert result.step_s == 15
    assert result.communication_s.tolist() == [3] * 4
    assert result.exposed_s.tolist() == result.idle_s.tolist() == [0] * 4


def test_buckets_are_exposed_as_far_as_they_outlast_compute() -> None:
    # buckets go at 10 and, when the first is through, at 16; the optimizer waits for both from 15 on
    result = data_parallel(kernel(10), reduce(6, waits=(0,)), kernel(5), reduce(4, waits=(2,)), kernel(2, waits=(1, 3)))
    assert result.step_s == 10 + 6 + 4 + 2
    assert result.compute_s.tolist() == [17] * 4
    assert result.communication_s.tolist() == [10] * 4
    assert result.exposed_s.tolist() == [5] * 4


def test_fast_ranks_idle_until_the_slow_one_comes() -> None:
    result = data_parallel(kernel(10), reduce(3, waits=(0,)), slowness=np.array([1.0, 1.5, 1.0, 1.2]))
    assert result.step_s == 15 + 3
    assert result.compute_s.tolist() == [10, 15, 10, 12]
    assert result.exposed_s.tolist() == [3] * 4
    assert result.idle_s.tolist() == [5, 0, 5, 3]


def test_slow_rank_does_not_slow_the_collective_that_others_started_early() -> None:
    # both ranks of the first collective are ready at 10 and 20; what comes after waits for neither
    result = data_parallel(kernel(10), reduce(30, waits=(0,)), kernel(10), ranks=2, slowness=np.array([1.0, 2.0]))
    assert result.step_s == 20 + 30
    assert result.idle_s.tolist() == [0, 0]  # the first rank computes from 10 to 20, while the second is on its way
    assert result.exposed_s.tolist() == [30, 10]


def test_collective_on_the_compute_stream_holds_compute_up() -> None:
    blocking = reduce(3, stream=Stream.COMPUTE)
    result = data_parallel(kernel(10), blocking, kernel(5), slowness=np.array([1.0, 1.0, 1.0, 2.0]))
    assert result.step_s == 20 + 3 + 10
    assert result.communication_s.tolist() == result.exposed_s.tolist() == [3] * 4
    assert result.idle_s.tolist() == [10 + 5, 10 + 5, 10 + 5, 0]


def test_communication_on_both_streams_at_once_is_exposed_once() -> None:
    result = data_parallel(reduce(8), kernel(2), reduce(3, stream=Stream.COMPUTE))
    assert result.step_s == 8
    assert result.communication_s.tolist() == [11] * 4
    assert result.exposed_s.tolist() == [6] * 4  # from 2 to 5 for its own, from 5 to 8 for the other


def test_kernel_on_the_communication_stream_counts_as_communication() -> None:
    pack = kernel(4, stream=Stream.COMMUNICATION, waits=(0,))
    result = data_parallel(kernel(10), pack, reduce(3), kernel(1, waits=(2,)))
    assert result.step_s == 10 + 4 + 3 + 1
    assert result.compute_s.tolist() == [11] * 4
    assert result.communication_s.tolist() == result.exposed_s.tolist() == [7] * 4


def test_one_slow_rank_among_all_of_fugaku_holds_up_every_other() -> None:
    ranks, events = 158_976, list[Event]()
    for _ in range(13):
        events += [kernel(1), reduce(1, waits=(len(events),))]
    slowness = np.ones(ranks)
    slowness[77_777] = 2.0
    result = data_parallel(*events, ranks=ranks, slowness=slowness)
    assert result.step_s == 13 * 2 + 1
    assert np.bincount(result.idle_s.astype(int)).tolist()[-1] == ranks - 1
    np.testing.assert_allclose(result.compute_s + result.exposed_s + result.idle_s, result.step_s)


def test_workload_that_does_nothing_takes_no_time() -> None:
    result = data_parallel()
    assert (result.step_s, result.idle_s.tolist()) == (0, [0] * 4)


# pipelines: p stages, m microbatches, forward of f and backward of b seconds a stage, c seconds a message


class Stage:
    """Events of one pipeline stage, by the usual words."""

    def __init__(self, at: int, stages: int, seconds: tuple[int, int], message: int) -> None:
        self.events: list[Event] = []
        self._first, self._last = at == 0, at == stages - 1
        self._seconds, self._message = seconds, message

    def forward(self) -> None:
        self._pass(self._seconds[0], came=-1, goes=1, source=self._first, sink=self._last)

    def backward(self) -> None:
        self._pass(self._seconds[1], came=1, goes=-1, source=self._last, sink=self._first)

    def _pass(self, seconds: int, *, came: int, goes: int, source: bool, sink: bool) -> None:
        waits = () if source else (self._add(Recv(nbytes=self._message, axis="pp", offset=came)),)
        done = self._add(kernel(seconds, waits=waits))
        if not sink:
            self._add(Send(nbytes=self._message, axis="pp", offset=goes, waits=(done,)))

    def _add(self, event: Event) -> int:
        self.events.append(event)
        return len(self.events) - 1


def gpipe(stage: Stage, at: int, stages: int, microbatches: int) -> None:
    for _ in range(microbatches):
        stage.forward()
    for _ in range(microbatches):
        stage.backward()


def one_f_one_b(stage: Stage, at: int, stages: int, microbatches: int) -> None:
    warmup = min(stages - 1 - at, microbatches)
    for _ in range(warmup):
        stage.forward()
    for _ in range(microbatches - warmup):
        stage.forward()
        stage.backward()
    for _ in range(warmup):
        stage.backward()


def pipeline(
    schedule: Any, p: int, m: int, *, seconds: tuple[int, int] = (1, 2), message: int = 0, dp: int = 1
) -> Replay:
    roles = []
    for at in range(p):
        stage = Stage(at, p, seconds, message)
        schedule(stage, at, p, m)
        roles.append(Role(name=f"stage {at}", where={"pp": (at, at + 1)}, events=tuple(stage.events)))
    return run(Mesh.of(pp=p, dp=dp), roles)


@pytest.mark.parametrize("schedule", [gpipe, one_f_one_b])
@pytest.mark.parametrize(("p", "m"), [(1, 3), (2, 1), (2, 5), (4, 4), (4, 16), (8, 3)])
def test_bubble_is_that_of_the_papers(schedule: Any, p: int, m: int) -> None:
    """The share ``(p-1)/(m+p-1)`` of the step (Huang et al., GPipe, NeurIPS 2019, section 2.3), which is
    ``(p-1)/m`` of the ideal time (Narayanan et al., SC21, sections 2.2.1 and 2.2.2)."""
    result = pipeline(schedule, p, m, dp=2)
    assert result.step_s == (m + p - 1) * 3
    assert result.compute_s.tolist() == [m * 3] * 2 * p
    np.testing.assert_allclose(result.idle_s / result.step_s, (p - 1) / (m + p - 1))
    np.testing.assert_allclose(result.idle_s / (m * 3), (p - 1) / m)
    assert not result.communication_s.any()


@pytest.mark.parametrize(("p", "c"), [(2, 1), (4, 1), (4, 5)])
def test_message_of_a_single_microbatch_is_on_the_critical_path_both_ways(p: int, c: int) -> None:
    result = pipeline(gpipe, p, 1, message=c)
    assert result.step_s == 3 * p + 2 * (p - 1) * c
    middle = [4 * c if 0 < at < p - 1 else 2 * c for at in range(p)]
    assert result.communication_s.tolist() == middle
    np.testing.assert_allclose(result.compute_s + result.exposed_s + result.idle_s, result.step_s)


@pytest.mark.parametrize("m", [1, 2, 7])
def test_two_stages_hide_messages_that_are_shorter_than_compute(m: int) -> None:
    # each stage sends while it computes the next microbatch; only the first and the last message are in the way
    result = pipeline(gpipe, 2, m, seconds=(4, 8), message=2)
    assert result.step_s == (m + 1) * 12 + 2 * 2


@pytest.mark.parametrize("m", [1, 2, 7])
def test_messages_that_are_longer_than_compute_set_the_pace(m: int) -> None:
    result = pipeline(gpipe, 2, m, seconds=(1, 1), message=5)
    assert result.step_s == 2 * (1 + 5 * m + 1)


def test_stages_that_are_one_role_are_replayed_as_several() -> None:
    first, middle, last = Stage(0, 5, (1, 2), 3), Stage(1, 5, (1, 2), 3), Stage(4, 5, (1, 2), 3)
    for stage in (first, middle, last):
        gpipe(stage, 0, 5, 6)
    roles = [
        Role(name="first", where={"pp": (0, 1)}, events=tuple(first.events)),
        Role(name="middle", where={"pp": (1, 4)}, events=tuple(middle.events)),
        Role(name="last", where={"pp": (4, 5)}, events=tuple(last.events)),
    ]
    merged, single = run(Mesh.of(pp=5), roles), pipeline(gpipe, 5, 6, message=3)
    assert merged.step_s == single.step_s
    for part in ("compute_s", "communication_s", "exposed_s", "idle_s"):
        assert getattr(merged, part).tolist() == getattr(single, part).tolist()


def test_ranks_of_one_role_that_shift_along_a_ring_cut_open_need_no_end_for_special() -> None:
    events = (Send(nbytes=2, axis="dp", offset=1), Recv(nbytes=2, axis="dp", offset=-1), kernel(1, waits=(1,)))
    result = data_parallel(*events, ranks=3)
    # rank 0 receives nothing, so it computes while it sends; rank 2 sends nothing; rank 1 does both at once
    assert result.step_s == 3
    assert result.communication_s.tolist() == [2, 4, 2]
    assert result.exposed_s.tolist() == [1, 2, 2]


def test_only_ranks_whose_receiver_exists_take_time_to_send() -> None:
    far = (Send(nbytes=2, axis="pp", offset=2), Recv(nbytes=2, axis="pp", offset=-2), kernel(1, waits=(0,)))
    roles = [
        Role(name=name, where={"pp": where}, events=far)
        for name, where in (("first", (0, 1)), ("middle", (1, 3)), ("last", (3, 4)))
    ]
    # 0 sends to 2 and 1 to 3: rank 2, of the same role as 1, sends nothing and computes at once
    result = run(Mesh.of(pp=4), roles)
    assert result.step_s == 3
    assert result.exposed_s.tolist() == [2, 2, 1, 1]
    assert result.idle_s.tolist() == [0, 0, 1, 1]


# pipelines of data parallel ranks


def stages_with_reduce(slow: int) -> Replay:
    """Two stages of two ranks that never talk to each other, each with its all-reduce."""
    roles = [
        Role(name=name, where={"pp": (at, at + 1)}, events=(kernel(10), reduce(1, "dp", waits=(0,))))
        for at, name in enumerate(("first", "last"))
    ]
    slowness = np.ones(4)
    slowness[slow] = 2.0
    return run(Mesh.of(pp=2, dp=2), roles, slowness)


@pytest.mark.parametrize("slow", range(4))
def test_groups_wait_for_their_own_members_only(slow: int) -> None:
    result = stages_with_reduce(slow)
    mate = slow ^ 1
    assert result.step_s == 21
    # who has no slow member is through at 11 and idles until the step ends, as the mate does before the all-reduce
    assert result.idle_s.tolist() == [0 if rank == slow else 10 for rank in range(4)]
    assert result.exposed_s[mate] == 1


def test_groups_along_different_axes_delay_each_other_through_common_members() -> None:
    # one role; the slow rank 0 of pp x dp delays its dp mate 1, both their pp mates 2 and 3
    events = (kernel(10), reduce(1, "dp", waits=(0,)), reduce(1, "pp", waits=(1,)))
    result = run(Mesh.of(pp=2, dp=2), [Role(name="all", events=events)], np.array([2.0, 1, 1, 1]))
    assert result.step_s == 22
    assert result.idle_s.tolist() == [0, 10, 10, 10]
    assert result.exposed_s.tolist() == [2, 2, 2, 2]


def test_roles_that_share_groups_meet() -> None:
    roles = [
        Role(name=name, where={"pp": (at, at + 1)}, events=(kernel(seconds), reduce(3, "pp", waits=(0,))))
        for at, (name, seconds) in enumerate((("first", 10), ("last", 20)))
    ]
    result = run(Mesh.of(pp=2, dp=2), roles)
    assert result.step_s == 23
    assert result.idle_s.tolist() == [10, 10, 0, 0]


# workloads that cannot end


def two_roles(first: Sequence[Event], last: Sequence[Event]) -> Replay:
    roles = [
        Role(name="first", where={"pp": (0, 1)}, events=tuple(first)),
        Role(name="last", where={"pp": (1, 2)}, events=tuple(last)),
    ]
    return run(Mesh.of(pp=2, dp=2), roles)


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [
        (
            [kernel(1)],
            [kernel(1), Recv(nbytes=1_024, axis="pp", offset=-1)],
            "workload 'j' cannot end: role 'last' waits for role 'first' to send 1,024 B along pp (+1)",
        ),
        (
            [reduce(1, "pp")],
            [kernel(1)],
            "workload 'j' cannot end: role 'first' waits for role 'last' to join all_reduce along pp",
        ),
        (
            [Recv(nbytes=1, axis="pp", offset=1), Send(nbytes=1, axis="pp", offset=1)],
            [Recv(nbytes=1, axis="pp", offset=-1), Send(nbytes=1, axis="pp", offset=-1)],
            "workload 'j' cannot end: role 'first' waits for role 'last' to send 1 B along pp (-1); "
            "role 'last' waits for role 'first' to send 1 B along pp (+1)",
        ),
        (
            [Send(nbytes=1, axis="pp", offset=1)],
            [],
            "workload 'j' cannot end: role 'first' sends 1 more along pp (+1) than role 'last' receives",
        ),
    ],
)
def test_workload_that_cannot_end_is_refused_and_says_who_waits_for_what(
    first: Sequence[Event], last: Sequence[Event], message: str
) -> None:
    with pytest.raises(WorkloadError) as refused:
        two_roles(first, last)
    assert str(refused.value) == message


def test_roles_that_do_not_agree_on_what_they_exchange_are_refused() -> None:
    with pytest.raises(WorkloadError, match="'first' and 'last' meet along pp, one for all_reduce of 1 B"):
        two_roles([reduce(1, "pp")], [reduce(2, "pp")])


# collectives that take a part of the device


@pytest.mark.parametrize(
    ("beside", "under_way", "step"),
    [
        (8, 20, 10 + 20),  # slowed to the end: 8 / 0.8 = 10, and the collective ends later
        (20, 8, 10 + 20 + 0.2 * 8),
        (10, 10, 10 + 10 + 0.2 * 10),
    ],
)
def test_kernels_beside_a_collective_are_slower_by_what_it_takes(beside: int, under_way: int, step: float) -> None:
    result = data_parallel(kernel(10), reduce(under_way, waits=(0,)), kernel(beside), taken=0.2)
    assert result.step_s == pytest.approx(step)
    slowed = min(0.2 * under_way, beside / 0.8 - beside)
    assert result.compute_s == pytest.approx([10 + beside + slowed] * 4)
    assert result.compute_s + result.exposed_s + result.idle_s == pytest.approx(np.full(4, step))


def test_kernels_that_began_before_a_collective_are_slower_too() -> None:
    # the second kernel waits for nothing, and is long under way when the collective of other ranks begins
    before, late = kernel(2), np.array([1.0, 1.0, 1.0, 3.0])
    result = data_parallel(before, reduce(5, waits=(0,)), kernel(10), taken=0.2, slowness=late)
    # from 6, when the last rank has come, to 11: of the first three ranks' kernels, from 2 to 12, all of it
    assert result.compute_s[0] == pytest.approx(12 + 0.2 * 5)
    assert result.compute_s[3] == pytest.approx(3 * 12 + 0.2 * 5)


def test_kernel_after_a_collective_is_as_fast_as_ever() -> None:
    result = data_parallel(kernel(10), reduce(3, waits=(0,)), kernel(5, waits=(1,)), taken=0.5)
    assert result.step_s == 18
    assert result.compute_s.tolist() == [15] * 4


# a host that starts kernels one by one


def hosted(*events: Event, issue_s: float, ranks: int = 2) -> float:
    return run(Mesh.of(dp=ranks), [Role(name="rank", events=events)], issue_s=issue_s).step_s


def test_kernels_shorter_than_their_start_take_as_long_as_the_host() -> None:
    assert hosted(*[kernel(1)] * 5, issue_s=3) == 5 * 3 + 1


def test_host_that_is_ahead_takes_no_time() -> None:
    assert hosted(kernel(100), *[kernel(1)] * 5, issue_s=3) == 3 + 100 + 5


@pytest.mark.parametrize("seconds", [2, 20])
def test_host_waits_for_a_collective_whose_result_it_uses_at_once(seconds: int) -> None:
    events = kernel(1), reduce(seconds, waits=(0,)), kernel(1, waits=(1,)), kernel(1)
    assert hosted(*events, issue_s=3) == 3 + 1 + seconds + 2 * 3 + 1


def test_host_goes_on_beside_a_collective_that_is_used_later() -> None:
    events = kernel(1), reduce(20, waits=(0,)), kernel(1), kernel(1, waits=(1,)), kernel(1)
    assert hosted(*events, issue_s=3) == 3 + 1 + 20 + 1 + 1


def test_host_waits_for_a_message_before_it_starts_what_follows() -> None:
    first = Role(
        name="first", where={"pp": (0, 1)}, events=(kernel(50), Send(nbytes=4, axis="pp", offset=1, waits=(0,)))
    )
    receive = Recv(nbytes=4, axis="pp", offset=-1, waits=())
    second = Role(name="second", where={"pp": (1, 2)}, events=(receive, *[kernel(1, waits=(0,))] * 2, kernel(1)))
    assert run(Mesh.of(pp=2), [first, second], issue_s=3).step_s == 3 + 50 + 4 + 3 * 3 + 1


def test_host_that_is_behind_when_a_message_comes_stays_behind() -> None:
    first = Role(name="first", where={"pp": (0, 1)}, events=(Send(nbytes=1, axis="pp", offset=1),))
    receive = Recv(nbytes=1, axis="pp", offset=-1)
    second = Role(name="second", where={"pp": (1, 2)}, events=(*[kernel(1)] * 4, receive, kernel(1, waits=(4,))))
    assert run(Mesh.of(pp=2), [first, second], issue_s=3).step_s == 5 * 3 + 1
