"""Replay against a simulator that knows no roles, no vectors and no SimPy: each rank one event at a time."""

import itertools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from fujimi_core.mesh import Mesh
from fujimi_core.workload import Collective, CollectiveKind, Event, Kernel, Recv, Role, Send, Stream, Workload
from fujimi_sim.network.timer import Timing
from fujimi_sim.replay import replay
from hypothesis import given, settings
from hypothesis import strategies as st

Interval = tuple[float, float]


@dataclass
class Rank:
    """One rank of the naive simulator."""

    events: tuple[Event, ...]
    at: dict[str, int]
    slowness: float
    done: list[Interval] = field(default_factory=list)
    kernels: list[Interval] = field(default_factory=list)
    under_way: list[Interval] = field(default_factory=list)

    def ready(self) -> float:
        event = self.events[len(self.done)]
        before = [end for (_, end), each in zip(self.done, self.events, strict=False) if each.stream is event.stream]
        return max([0.0, *before, *(self.done[wait][1] for wait in event.waits)])

    def finish(self, interval: Interval, *, is_compute: bool = False) -> None:
        (self.kernels if is_compute else self.under_way).append(interval)
        self.done.append(interval)


class Naive:
    """Goes over all ranks again and again until none can do its next event."""

    def __init__(self, workload: Workload, slowness: list[float]) -> None:
        mesh = workload.mesh
        role_of = {rank: role for role in workload.roles for rank in workload.ranks(role).tolist()}
        self.ranks = [
            Rank(events=role_of[rank].events, at=mesh.coordinates(rank), slowness=slowness[rank])
            for rank in range(mesh.world_size)
        ]
        self._mail: dict[tuple[object, ...], list[Interval]] = defaultdict(list)
        while sum(self._advance(rank) for rank in self.ranks):
            pass
        assert all(len(rank.done) == len(rank.events) for rank in self.ranks), "generated workloads can end"
        self.step_s = max(end for rank in self.ranks for _, end in [(0.0, 0.0), *rank.done])

    def _advance(self, rank: Rank) -> bool:
        if len(rank.done) == len(rank.events):
            return False
        event, ready = rank.events[len(rank.done)], rank.ready()
        if isinstance(event, Kernel):
            interval = (ready, ready + event.flops * rank.slowness)
            rank.finish(interval, is_compute=event.stream is Stream.COMPUTE)
        elif isinstance(event, Send):
            receiver = self._beside(rank, event.axis, event.offset)
            end = ready + (seconds_of(event) if receiver else 0.0)
            if receiver:
                self._mail[id(rank), id(receiver)].append((ready, end))
            rank.finish((ready, end))
        elif isinstance(event, Recv):
            return self._receive(rank, event, ready)
        else:
            return self._meet(rank, event)
        return True

    def _receive(self, rank: Rank, event: Recv, ready: float) -> bool:
        sender = self._beside(rank, event.axis, event.offset)
        if not sender:
            rank.finish((ready, ready))
            return True
        mail = self._mail[id(sender), id(rank)]
        if not mail:
            return False
        start, end = mail.pop(0)
        rank.finish((max(start, ready), max(end, ready)))
        return True

    def _meet(self, rank: Rank, event: Collective) -> bool:
        group = [each for each in self.ranks if all(each.at[a] == rank.at[a] for a in rank.at if a not in event.axes)]
        waiting = [each.events[len(each.done)] if len(each.done) < len(each.events) else None for each in group]
        if any(not isinstance(each, Collective) or set(each.axes) != set(event.axes) for each in waiting):
            return False
        start = max(each.ready() for each in group)
        for each in group:
            each.finish((start, start + seconds_of(event)))
        return True

    def _beside(self, rank: Rank, axis: str, offset: int) -> Rank | None:
        there = {**rank.at, axis: rank.at[axis] + offset}
        return next((each for each in self.ranks if each.at == there), None)

    def spent(self, rank: Rank) -> tuple[float, float, float, float]:
        """Compute, communication, exposed and idle, by looking at each moment between two changes."""
        moments = sorted({0.0, self.step_s}.union(*rank.kernels, *rank.under_way))
        compute = exposed = idle = 0.0
        for low, high in itertools.pairwise(moments):
            middle = (low + high) / 2
            if any(start < middle < end for start, end in rank.kernels):
                compute += high - low
            elif any(start < middle < end for start, end in rank.under_way):
                exposed += high - low
            else:
                idle += high - low
        return compute, sum(end - start for start, end in rank.under_way), exposed, idle


def seconds_of(event: Collective | Send) -> float:
    return event.nbytes * (1.0 if isinstance(event, Send) else 0.5 + len(set(event.axes)))


class Network:
    def collective(self, collective: Collective) -> Timing:
        return Timing(seconds=seconds_of(collective), algorithm="", bottleneck="")

    def send(self, send: Send, where: Mapping[str, tuple[int, int]]) -> Timing:
        return Timing(seconds=seconds_of(send), algorithm="", bottleneck="")


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    """Workloads that can end, for all roles do the same things in the same order, each with kernels of its own."""
    stages = draw(st.integers(1, 4))
    mesh = Mesh.of(pp=stages, dp=draw(st.integers(1, 3)))
    cuts = sorted(draw(st.sets(st.integers(1, stages - 1)))) if stages > 1 else []
    events: list[list[Event]] = [[] for _ in range(len(cuts) + 1)]

    def waits(index: int) -> tuple[int, ...]:
        before = len(events[index])
        return tuple(sorted(draw(st.sets(st.integers(0, before - 1), max_size=2)))) if before else ()

    def kernel(index: int) -> Kernel:
        stream = draw(st.sampled_from([Stream.COMPUTE, Stream.COMPUTE, Stream.COMMUNICATION]))
        seconds = draw(st.integers(0, 5))
        return Kernel(op="k", dtype="float32", flops=seconds, nbytes=0, stream=stream, waits=waits(index))

    for _ in range(draw(st.integers(1, 6))):
        what = draw(st.sampled_from(["kernels", "collective", "shift", "chain"]))
        nbytes, offset = draw(st.integers(0, 4)), draw(st.sampled_from([-2, -1, 1, 2]))
        axes = draw(st.sampled_from([("dp",), ("pp",), ("dp", "pp"), ("pp", "dp"), ()]))
        stream = draw(st.sampled_from(list(Stream)))
        for index, own in enumerate(events):
            if what == "collective":
                kind = CollectiveKind.ALL_REDUCE
                own.append(
                    Collective(kind=kind, nbytes=nbytes, axes=axes, dtype="float32", stream=stream, waits=waits(index))
                )
            send = Send(nbytes=nbytes, axis="pp", offset=offset, stream=stream, waits=waits(index))
            if what == "shift":
                own.append(send)
            if what in ("shift", "chain"):
                own.append(Recv(nbytes=nbytes, axis="pp", offset=-offset, stream=stream, waits=waits(index)))
            if what in ("kernels", "chain"):
                own.extend(kernel(index) for _ in range(draw(st.integers(0, 3))))
            if what == "chain":
                own.append(send)
    bounds = [0, *cuts, stages]
    roles = tuple(
        Role(name=str(index), where={"pp": (bounds[index], bounds[index + 1])}, events=tuple(own))
        for index, own in enumerate(events)
    )
    return Workload(job="j", mesh=mesh, samples_per_step=1, roles=roles)


@settings(max_examples=300)
@given(workload=workloads(), data=st.data())
def test_roles_replayed_as_vectors_do_what_each_rank_alone_would(workload: Workload, data: st.DataObject) -> None:
    ranks = workload.mesh.world_size
    slowness = data.draw(st.lists(st.sampled_from([0.5, 1.0, 1.25, 3.0]), min_size=ranks, max_size=ranks))
    result = replay(
        workload,
        kernel_seconds=lambda kernel: float(kernel.flops),
        communication=Network(),
        slowness=np.array(slowness),
    )
    naive = Naive(workload, slowness)
    assert result.step_s == naive.step_s
    replayed = np.stack([result.compute_s, result.communication_s, result.exposed_s, result.idle_s], axis=1)
    np.testing.assert_allclose(replayed, [naive.spent(rank) for rank in naive.ranks], atol=1e-9)
    np.testing.assert_allclose(result.compute_s + result.exposed_s + result.idle_s, result.step_s)
