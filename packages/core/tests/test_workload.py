"""Workloads: one role a rank, waits for the past only, arithmetic."""

import re
from dataclasses import replace
from typing import Any

import pytest
from fujimi_core.mesh import Mesh
from fujimi_core.workload import Collective, CollectiveKind, Kernel, Recv, Role, Send, Workload

KERNEL = Kernel(op="aten.mm", dtype="float32", flops=10, nbytes=4)


def test_ranks_of_a_role_are_its_slice_of_the_mesh(workload: Workload) -> None:
    first, last = workload.roles
    assert workload.ranks(first).tolist() == [0, 1, 2, 3]
    assert workload.ranks(last).tolist() == [4, 5, 6, 7]


def test_flops_are_those_of_every_rank(workload: Workload) -> None:
    assert workload.flops == 8 * 48


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ((), "a workload needs at least one role"),
        ((Role(name="a", where={"dp": (0, 1)}, events=()),), "every rank has one role, but rank 1 has 0"),
        ((Role(name="a", events=()), Role(name="b", events=())), "every rank has one role, but rank 0 has 2"),
        ((Role(name="a", where={"tp": (0, 1)}, events=()),), "Unknown mesh axis: 'tp'. Known: dp."),
        ((Role(name="a", where={"dp": (0, 3)}, events=()),), "is not an interval of axis 'dp', extent 2"),
        ((Role(name="a", events=(Send(nbytes=1, axis="pp", offset=1),)),), "Unknown mesh axis: 'pp'"),
        (
            (
                Role(
                    name="a", events=(Collective(kind=CollectiveKind.BARRIER, nbytes=0, axes=("d",), dtype="float32"),)
                ),
            ),
            "Unknown mesh axis: 'd'. Known: dp.",
        ),
    ],
)
def test_roles_that_do_not_fit_the_mesh_are_refused(roles: tuple[Role, ...], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Workload(job="j", mesh=Mesh.of(dp=2), samples_per_step=1, roles=roles)


def test_step_without_samples_is_refused(workload: Workload) -> None:
    with pytest.raises(ValueError, match="samples_per_step is 0; at least 1 is needed"):
        replace(workload, samples_per_step=0)


@pytest.mark.parametrize("waits", [(0,), (1,), (-1,)])
def test_event_waits_for_earlier_events_only(waits: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"role 'a': event 0 waits for .*; only earlier ones can be waited for"):
        Role(name="a", events=(replace(KERNEL, waits=waits),))


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (Kernel, {"op": "o", "dtype": "float32", "flops": -1, "nbytes": 0}),
        (Kernel, {"op": "o", "dtype": "float32", "flops": 0, "nbytes": -1}),
        (Kernel, {"op": "o", "dtype": "float32", "flops": 0, "nbytes": 0, "seconds": -1}),
        (Collective, {"kind": CollectiveKind.BARRIER, "nbytes": -1, "axes": (), "dtype": "float32"}),
        (Send, {"nbytes": -1, "axis": "dp", "offset": 1}),
        (Recv, {"nbytes": -1, "axis": "dp", "offset": 1}),
    ],
)
def test_less_than_nothing_is_refused(kind: Any, fields: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is -1; at least 0 is needed"):
        kind(**fields)
