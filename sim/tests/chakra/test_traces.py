"""Chakra traces: what was written takes the same time when it is read; and traces as the tools of others make them."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fujimi_core.errors import WorkloadError
from fujimi_core.machine import Machine
from fujimi_core.mesh import Mesh
from fujimi_core.plugins import Plugins
from fujimi_core.workload import (
    Collective,
    CollectiveKind,
    Event,
    Kernel,
    Memory,
    Recv,
    Role,
    Send,
    Stream,
    Workload,
)
from fujimi_sim.chakra import schema
from fujimi_sim.chakra.reading import read_traces
from fujimi_sim.chakra.writing import write_traces
from fujimi_sim.replay import replay
from fujimi_sim.simulation import Setting, simulate

COMM_TYPES = {"all_reduce": 0, "all_gather": 2, "broadcast": 5, "reduce_scatter": 7, "barrier": 9}


def node(number: int, kind: int, *, deps: Sequence[int] = (), **fields: Any) -> Any:
    """A node; attributes have the types that Chakra's own generator gives them."""
    made = schema.message("Node")(id=number, type=kind, name=fields.pop("name", ""), data_deps=deps)
    made.duration_micros = fields.pop("micros", 0)
    made.ctrl_deps.extend(fields.pop("ctrl", ()))
    made.inputs.types = fields.pop("types", "")
    made.inputs.values = fields.pop("values", "")
    types = {"is_cpu_op": "bool_val", "tensor_size": "uint64_val", "pg_name": "string_val"}
    peers = {"comm_src": "int32_val", "comm_dst": "int32_val"}
    for name, value in fields.items():
        field = (types | peers).get(name, "int64_val")
        made.attr.append(schema.message("AttributeProto")(name=name, **{field: value}))
    return made


def traces(directory: Path, *ranks: Sequence[Any], groups: dict[str, list[int]] | None = None) -> Path:
    """A trace of each rank."""
    for rank, nodes in enumerate(ranks):
        with (directory / f"run.{rank}.et").open("wb") as file:
            schema.write([schema.message("GlobalMetadata")(version="0.0.4"), *nodes], file)
    if groups is not None:
        (directory / "comm_groups.json").write_text(json.dumps(groups))
    return directory


def computing(number: int, micros: int = 5, **fields: Any) -> Any:
    return node(number, schema.COMPUTE, micros=micros, **fields)


def joining(number: int, kind: str, nbytes: int = 1_000, **fields: Any) -> Any:
    return node(number, schema.COLLECTIVE, comm_type=COMM_TYPES[kind], comm_size=nbytes, **fields)


# round trips


def kernel(flops: int, **fields: Any) -> Kernel:
    return Kernel(op="aten.mm", dtype="float32", flops=flops, nbytes=8, shapes=((2, 3), (3,)), **fields)


def reduce(*axes: str, **fields: Any) -> Collective:
    return Collective(kind=CollectiveKind.ALL_REDUCE, nbytes=4_000_000, axes=axes, dtype="float32", **fields)


def gather(*axes: str, **fields: Any) -> Collective:
    return Collective(kind=CollectiveKind.ALL_GATHER, nbytes=8_000_000, axes=axes, dtype="bfloat16", **fields)


def pipeline() -> Workload:
    """Two stages of a pipeline, each of two by four ranks, whose last sends back."""
    first: tuple[Event, ...] = (
        kernel(10**9, phase="forward"),
        Send(nbytes=1_000, axis="pp", offset=1, waits=(0,), phase="forward"),
        gather("tp", waits=(0,)),
        Recv(nbytes=2_000, axis="pp", offset=1),
        kernel(0, waits=(2, 3)),
        reduce("dp", "tp", waits=(4,), phase="backward"),
        kernel(10**8, stream=Stream.COMMUNICATION),
    )
    last: tuple[Event, ...] = (
        Recv(nbytes=1_000, axis="pp", offset=-1),
        kernel(10**9, waits=(0,)),
        reduce("tp", stream=Stream.COMPUTE),
        Send(nbytes=2_000, axis="pp", offset=-1, waits=(2,)),
        Send(nbytes=2_000, axis="pp", offset=1, waits=(2,)),
        kernel(10**9, waits=(4,)),
        reduce("dp", "tp", waits=(5,)),
    )
    roles = (
        Role(name="first", where={"pp": (0, 1)}, events=first, memory=Memory(peak_bytes=7, parameter_bytes=3)),
        Role(name="last", where={"pp": (1, 2)}, events=last),
    )
    return Workload(job="tiny", mesh=Mesh.of(pp=2, dp=2, tp=4), samples_per_step=64, roles=roles)


def setting_of(workload: Workload, machine: Machine, plugins: Plugins) -> Setting:
    settings: list[Setting] = []
    simulate(workload, machine, workload.mesh.world_size, plugins=plugins, watch=settings.append)  # type: ignore[arg-type]
    return settings[0]


def times(workload: Workload, machine: Machine, plugins: Plugins) -> list[Any]:
    """What each rank spends the step on."""
    setting = setting_of(workload, machine, plugins)
    slowness = np.linspace(0.9, 1.1, workload.mesh.world_size)
    result = replay(
        workload,
        kernel_seconds=setting.kernel_seconds,
        communication=setting.communication,
        slowness=slowness,
    )
    return [result.compute_s.tolist(), result.communication_s.tolist(), result.exposed_s.tolist(), result.step_s]


def test_what_was_written_takes_the_same_time_when_it_is_read(
    machine: Machine, plugins: Plugins, tmp_path: Path
) -> None:
    workload = pipeline()
    assert write_traces(setting_of(workload, machine, plugins), tmp_path) == 16
    read = read_traces(tmp_path)
    assert (read.job, read.mesh, read.samples_per_step) == ("tiny", workload.mesh, 64)
    assert times(read, machine, plugins) == times(workload, machine, plugins)
    first, last = read.roles
    assert (first.name, first.where["pp"], first.memory) == ("first", (0, 1), workload.roles[0].memory)
    # of several waits for one stream the last is enough, and nobody is behind the last stage
    assert [replace(event, waits=()) for event in first.events] == [
        replace(event, waits=()) for event in workload.roles[0].events
    ]
    assert [event.KIND for event in last.events] == ["recv", "kernel", "collective", "send", "kernel", "collective"]


def test_traces_say_who_sends_to_whom_and_who_is_in_a_group(machine: Machine, plugins: Plugins, tmp_path: Path) -> None:
    write_traces(setting_of(pipeline(), machine, plugins), tmp_path)
    _, nodes = schema.read(tmp_path / "trace.5.et")
    said = {each.id: {name.name: getattr(name, name.WhichOneof("value")) for name in each.attr} for each in nodes}
    assert (said[1]["comm_src"], said[1]["comm_dst"], said[1]["comm_size"]) == (5, 13, 1_000)
    assert (said[3]["comm_src"], said[3]["comm_dst"]) == (13, 5)
    groups = json.loads((tmp_path / "comm_groups.json").read_text())
    assert groups[said[2]["pg_name"]] == [4, 5, 6, 7]
    assert groups[said[5]["pg_name"]] == [0, 1, 2, 3, 4, 5, 6, 7]
    assert (said[2]["comm_type"], said[2]["comm_size"]) == (2, 2_000_000), "what a rank has of an all-gather"
    assert (said[0]["num_ops"], said[4]["num_ops"], said[0]["tensor_size"]) == (10**9, 1, 8)
    # the all-gather does not wait for the message, which has a stream of its own
    assert [list(each.data_deps) for each in nodes] == [[], [0], [0], [2], [2, 3, 0], [4, 3], [5]]
    assert nodes[0].duration_micros == 1_250, "1 GFLOP at 0.8 TFLOP/s"


def test_older_traces_in_the_directory_do_not_stay(machine: Machine, plugins: Plugins, tmp_path: Path) -> None:
    (tmp_path / "trace.99.et").write_bytes(b"old")
    write_traces(setting_of(pipeline(), machine, plugins), tmp_path)
    assert len(list(tmp_path.glob("*.et"))) == 16


# traces of others


def test_measured_time_is_taken_as_it_is(tmp_path: Path, machine: Machine, plugins: Plugins) -> None:
    nodes = [computing(0, 250_000), computing(1, 500_000, deps=[0])]
    workload = read_traces(traces(tmp_path, nodes, nodes))
    assert (workload.job, workload.samples_per_step, workload.mesh.shape) == (tmp_path.name, 1, (2,))
    assert simulate(workload, machine, 2, plugins=plugins).step_s == 0.75


def test_counted_operations_are_timed_on_the_machine(tmp_path: Path, machine: Machine, plugins: Plugins) -> None:
    nodes = [computing(0, num_ops=8 * 10**11, tensor_size=8, types="['Tensor(float)']")]
    workload = read_traces(traces(tmp_path, nodes))
    assert simulate(workload, machine, 1, plugins=plugins).step_s == pytest.approx(1.0)


@pytest.mark.parametrize(("types", "dtype"), [("['Tensor(c10::BFloat16)', 'Int']", "bfloat16"), ("", "float32")])
def test_type_is_that_of_the_first_tensor(
    tmp_path: Path, types: str, dtype: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        workload = read_traces(traces(tmp_path, [computing(0, num_ops=5, tensor_size=8, types=types)]))
    (found,) = workload.roles[0].events
    assert isinstance(found, Kernel)
    assert found.dtype == dtype
    assert ("operators do not say their type, and are taken for float32 (1)" in caplog.text) == (not types)


@pytest.mark.parametrize(
    ("kind", "nbytes"), [("all_reduce", 1_000), ("all_gather", 4_000), ("reduce_scatter", 1_000), ("barrier", 0)]
)
def test_size_of_a_collective_is_the_input_of_a_rank(tmp_path: Path, kind: str, nbytes: int) -> None:
    # astra-sim: an all-gather ends with data_size * nodes_in_ring
    workload = read_traces(traces(tmp_path, *[[joining(0, kind)]] * 4))
    (found,) = workload.roles[0].events
    assert isinstance(found, Collective)
    assert (found.kind.value, found.nbytes, found.axes) == (kind, nbytes, workload.mesh.names)


def test_groups_make_the_mesh(tmp_path: Path) -> None:
    groups = {"1": [0, 1], "2": [2, 3], "3": [0, 2], "4": [1, 3]}
    mine = [("1", "3"), ("1", "4"), ("2", "3"), ("2", "4")]
    ranks = [[joining(0, "all_gather", pg_name=a), joining(1, "all_reduce", pg_name=b, deps=[0])] for a, b in mine]
    workload = read_traces(traces(tmp_path, *ranks, groups=groups))
    assert workload.mesh.shape == (2, 2)
    (role,) = workload.roles
    assert [event.axes for event in role.events if isinstance(event, Collective)] == [("axis1",), ("axis0",)]
    assert role.events[0].nbytes == 2_000  # type: ignore[union-attr]


def test_groups_that_a_trace_of_pytorch_lists_are_read(tmp_path: Path) -> None:
    # as the text of a list of one text, in which there is JSON
    listed = json.dumps([{"pg_name": "7", "ranks": [0, 1]}, {"pg_name": "8", "ranks": [2, 3]}])
    told = node(9, 1, values=f"['{listed}']")
    ranks = [[told, joining(0, "all_reduce", pg_name="7" if rank < 2 else "8")] for rank in range(4)]
    workload = read_traces(traces(tmp_path, *ranks))
    assert workload.mesh.shape == (2, 2)
    assert len(workload.roles) == 1


def test_ring_of_messages_has_a_role_where_it_closes(tmp_path: Path, machine: Machine, plugins: Plugins) -> None:
    def rank(number: int) -> list[Any]:
        send = node(0, schema.SEND, comm_dst=(number + 1) % 4, comm_size=1_000)
        return [send, node(1, schema.RECEIVE, comm_src=(number - 1) % 4, comm_size=1_000)]

    workload = read_traces(traces(tmp_path, *map(rank, range(4))))
    assert [role.where["axis0"] for role in workload.roles] == [(0, 1), (1, 3), (3, 4)]
    # 1 us of latency and 1 kB at 1 GB/s
    assert simulate(workload, machine, 4, plugins=plugins).step_s == pytest.approx(2e-6)


def test_streams_wait_for_each_other_and_hosts_are_left_out(
    tmp_path: Path, machine: Machine, plugins: Plugins, caplog: pytest.LogCaptureFixture
) -> None:
    # the host's 0 calls 1 and 3, which is a control dependency; 2 needs what 1 made, 4 both, 0 ends after them
    nodes = [
        computing(0, 999_999, is_cpu_op=True, deps=[4]),
        computing(1, 250_000, ctrl=[0]),
        joining(2, "broadcast", deps=[1]),
        computing(3, 125_000, ctrl=[0], deps=[77]),
        computing(4, 125_000, deps=[2], ctrl=[3]),
    ]
    with caplog.at_level(logging.WARNING):
        workload = read_traces(traces(tmp_path, nodes))
    assert [event.waits for event in workload.roles[0].events] == [(), (0,), (), (1,)]
    assert simulate(workload, machine, 1, plugins=plugins).step_s == 0.5
    assert "operators of hosts, which are not modelled, are left out (1)" in caplog.text
    assert "dependencies on nodes that are not in the trace are left out (1)" in caplog.text


# what is refused


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            joining(3, "all_reduce", pg_name="5"),
            "node 3 '' is for the process group '5', of which the ranks are not told",
        ),
        (node(3, schema.COLLECTIVE, comm_size=1), "node 3 '' has no comm_type"),
        (node(3, schema.COLLECTIVE, comm_type=12, comm_size=1), "has comm_type 12; known are 0 to 9"),
        (node(3, schema.SEND, comm_size=1), "has no comm_dst"),
        (node(3, schema.SEND, comm_size=1, comm_dst=9), "is for rank 9; there are 1"),
        (node(3, 11), "is of type 11; known are 0 to 7"),
        (computing(3, deps=[3]), "nodes 3 wait for each other"),
        (node(3, 1, values="['[{\"pg_name\": 1}]']"), "lists process groups in an unknown way"),
    ],
)
def test_node_that_makes_no_sense_is_named(tmp_path: Path, made: Any, message: str) -> None:
    with pytest.raises(WorkloadError) as raised:
        read_traces(traces(tmp_path, [made]))
    assert message in str(raised.value)
    assert str(tmp_path / "run.0.et") in str(raised.value)


def test_rank_without_a_trace_is_named(tmp_path: Path) -> None:
    traces(tmp_path, [computing(0)], [computing(0)], [computing(0)])
    (tmp_path / "run.1.et").unlink()
    with pytest.raises(WorkloadError, match=r"rank 1 has no trace, run\.1\.et"):
        read_traces(tmp_path)


@pytest.mark.parametrize(
    ("names", "message"),
    [([], "holds no Chakra traces"), (["a.0.et", "b.0.et"], r"holds traces of several runs \(a, b\)")],
)
def test_directory_has_traces_of_one_run(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(WorkloadError, match=message):
        read_traces(tmp_path)


@pytest.mark.parametrize("text", ["{", "[1]", '{"1": 3}'])
def test_damaged_list_of_groups_is_named(tmp_path: Path, text: str) -> None:
    traces(tmp_path, [computing(0)])
    (tmp_path / "comm_groups.json").write_text(text)
    with pytest.raises(WorkloadError, match=r"comm_groups\.json: no lists of ranks by the names of groups"):
        read_traces(tmp_path)
