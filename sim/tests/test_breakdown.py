"""Parts of a step against sums by hand."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from fujimi_core.mesh import Mesh
from fujimi_core.workload import Collective, CollectiveKind, Kernel, Recv, Role, Send, Workload
from fujimi_sim.breakdown import Part, breakdown
from fujimi_sim.network.timer import Timing
from fujimi_sim.replay import replay


class AByteASecond:
    """Communication that takes a second a byte; small buffers and large ones go another way."""

    def collective(self, collective: Collective) -> Timing:
        return Timing(seconds=collective.nbytes, algorithm="tree" if collective.nbytes < 5 else "ring", bottleneck="")

    def send(self, send: Send, where: Mapping[str, tuple[int, int]]) -> Timing:
        return Timing(seconds=send.nbytes, algorithm="send", bottleneck="")


def kernel(op: str, seconds: int, **fields: Any) -> Kernel:
    return Kernel(op=op, dtype="float32", flops=seconds, nbytes=100, **fields)


def reduce(nbytes: int, *axes: str, **fields: Any) -> Collective:
    return Collective(kind=CollectiveKind.ALL_REDUCE, nbytes=nbytes, axes=axes or ("dp",), dtype="float32", **fields)


def parts_of(mesh: Mesh, *roles: Role) -> tuple[Part, ...]:
    workload = Workload(job="j", mesh=mesh, samples_per_step=1, roles=roles)
    return breakdown(workload, kernel_seconds=lambda each: float(each.flops), communication=AByteASecond())


def test_operators_are_summed_by_name_and_phase_the_longest_first() -> None:
    events = (
        kernel("mm", 1, phase="forward"),
        kernel("mm", 2, phase="forward"),
        kernel("mm", 7, phase="backward"),
        kernel("add", 1, phase="forward"),
    )
    assert parts_of(Mesh.of(dp=4), Role(name="rank", events=events)) == (
        Part(name="mm", phase="backward", count=1, nbytes=100, seconds=7),
        Part(name="mm", phase="forward", count=2, nbytes=200, seconds=3),
        Part(name="add", phase="forward", count=1, nbytes=100, seconds=1),
    )


def test_collectives_differ_by_axes_buffer_and_algorithm() -> None:
    events = (reduce(3), reduce(3), reduce(6), reduce(3, "tp"), reduce(3, phase="backward"))
    parts = parts_of(Mesh.of(dp=2, tp=2), Role(name="rank", events=events))
    assert {part.kind: (part.count, part.nbytes, part.seconds) for part in parts} == {
        ("all_reduce", "", ("dp",), 3, "tree"): (2, 6, 6),
        ("all_reduce", "", ("dp",), 6, "ring"): (1, 6, 6),
        ("all_reduce", "", ("tp",), 3, "tree"): (1, 3, 3),
        ("all_reduce", "backward", ("dp",), 3, "tree"): (1, 3, 3),
    }


def test_figures_are_means_over_the_ranks_of_all_roles() -> None:
    first = Role(name="first", where={"dp": (0, 1)}, events=(kernel("mm", 8), kernel("mm", 8)))
    others = Role(name="others", where={"dp": (1, 4)}, events=(kernel("add", 4),))
    assert parts_of(Mesh.of(dp=4), first, others) == (
        Part(name="mm", phase="", count=0.5, nbytes=50, seconds=4),
        Part(name="add", phase="", count=0.75, nbytes=75, seconds=3),
    )


def test_message_counts_once_and_only_where_it_has_a_receiver() -> None:
    # all four stages are said to send and receive; the last has nobody to send to, the first nobody to receive from
    stage = Role(name="stage", events=(Recv(nbytes=8, axis="pp", offset=-1), Send(nbytes=8, axis="pp", offset=1)))
    (part,) = parts_of(Mesh.of(pp=4), stage)
    assert part == Part(name="send", phase="", axes=("pp",), buffer_bytes=8, count=0.75, nbytes=6, seconds=6)


def test_parts_add_up_to_what_the_replay_spends() -> None:
    mesh = Mesh.of(pp=2, dp=3)
    roles = tuple(
        Role(
            name=f"stage {stage}",
            where={"pp": (stage, stage + 1)},
            events=(kernel("mm", 3 + stage), reduce(7, waits=(0,)), kernel("add", 2), reduce(2, waits=(2,))),
        )
        for stage in range(2)
    )
    workload = Workload(job="j", mesh=mesh, samples_per_step=1, roles=roles)
    result = replay(
        workload,
        kernel_seconds=lambda each: float(each.flops),
        communication=AByteASecond(),
        slowness=np.ones(mesh.world_size),
    )
    parts = parts_of(mesh, *roles)
    assert sum(part.seconds for part in parts if not part.axes) == pytest.approx(result.compute_s.mean())
    assert sum(part.seconds for part in parts if part.axes) == pytest.approx(result.communication_s.mean())
