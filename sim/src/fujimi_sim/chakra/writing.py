"""Writes a workload as Chakra traces: a file a rank, and the groups beside them."""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from fujimi_core.atomic import atomic_file
from fujimi_core.mesh import Mesh
from fujimi_core.records import to_table
from fujimi_core.workload import Collective, Event, Kernel, Recv, Role, Send, Stream

from fujimi_sim.chakra.dependencies import bypass
from fujimi_sim.chakra.schema import COLLECTIVE, COLLECTIVES, COMPUTE, GATHERS, RECEIVE, SEND, message, write
from fujimi_sim.simulation import Setting
from fujimi_sim.slices import neighbours

GROUPS_FILE = "comm_groups.json"
#: Attribute of the metadata that holds what Chakra has no place for.
OWN = "fujimi"
VERSION = "1.0.0"
_Axes = tuple[str, ...]


def write_traces(setting: Setting, directory: Path, *, progress: Callable[[], None] = lambda: None) -> int:
    """Write ``trace.<rank>.et`` for each rank, and ``comm_groups.json`` with the ranks of each process group.

    Durations are predictions; a reader that knows another machine has operations and bytes to make its own. An
    operator without arithmetic has one operation, since a roofline divides by them.

    Args:
        setting: The workload, and what it takes where.
        directory: Made if it is not there.
        progress: Called after each file.

    Returns:
        How many traces there are.

    Raises:
        FujimiError: If protobuf is not installed.
        RunError: If a file cannot be written.
    """
    workload = setting.workload
    directory.mkdir(parents=True, exist_ok=True)
    for leftover in directory.glob("trace.*.et"):
        leftover.unlink()
    numbers = _group_numbers(workload.mesh, workload.roles)
    groups = {number: ranks for ranks, number in _numbered(workload.mesh, numbers)}
    with atomic_file(directory / GROUPS_FILE) as file:
        file.write(json.dumps({str(number): groups[number] for number in sorted(groups)}).encode())
    for role in workload.roles:
        writer = _Writer(setting, role, numbers)
        for rank in workload.ranks(role).tolist():
            with (directory / f"trace.{rank}.et").open("wb") as file:
                write([writer.metadata(), *writer.nodes(rank)], file)
            progress()
    return workload.mesh.world_size


def _group_numbers(mesh: Mesh, roles: tuple[Role, ...]) -> dict[_Axes, int]:
    """Number of the first group along each set of axes; 0, that of all ranks, needs no list."""
    found: dict[_Axes, int] = {}
    free = 1
    for axes in dict.fromkeys(event.axes for role in roles for event in role.events if isinstance(event, Collective)):
        groups = len(mesh.groups(axes))
        found[axes] = 0 if groups == 1 else free
        free += groups if groups > 1 else 0
    return found


def _numbered(mesh: Mesh, numbers: Mapping[_Axes, int]) -> Iterator[tuple[list[int], int]]:
    for axes, first in numbers.items():
        if first:
            yield from ((ranks, first + index) for index, ranks in enumerate(mesh.groups(axes).tolist()))


class _Writer:
    """Makes the messages of a role's ranks."""

    def __init__(self, setting: Setting, role: Role, numbers: Mapping[_Axes, int]) -> None:
        self._setting = setting
        self._role = role
        self._numbers = numbers
        self._waits = _waits(role)
        mesh = setting.workload.mesh
        self._group_of = {axes: np.argsort(mesh.groups(axes).ravel()) // _members(mesh, axes) for axes in numbers}

    def metadata(self) -> Any:
        """What no node says."""
        workload, role = self._setting.workload, self._role
        own = {
            "job": workload.job,
            "samples_per_step": workload.samples_per_step,
            "mesh": to_table(workload.mesh),
            "role": role.name,
            "memory": to_table(role.memory),
        }
        attribute = message("AttributeProto")(name=OWN, string_val=json.dumps(own))
        return message("GlobalMetadata")(version=VERSION, attr=[attribute])

    def nodes(self, rank: int) -> Iterator[Any]:
        """What a rank does; messages over the end of the mesh are left out."""
        peers = {index: self._peer(rank, event) for index, event in enumerate(self._role.events)}
        left_out = {index for index, peer in peers.items() if peer == -1}
        for index, waits in bypass(self._waits, left_out).items():
            node = self._node(self._role.events[index], rank, peers[index])
            node.id = index
            node.data_deps.extend(waits)  # readers differ in what they do with control dependencies
            yield node

    def _peer(self, rank: int, event: Event) -> int | None:
        if not isinstance(event, Send | Recv):
            return None
        mesh = self._setting.workload.mesh
        return int(neighbours(mesh, np.array([rank]), axis=event.axis, offset=event.offset)[0])

    def _node(self, event: Event, rank: int, peer: int | None) -> Any:
        attributes: dict[str, tuple[str, Any]] = {
            "is_cpu_op": ("bool_val", False),
            "phase": ("string_val", event.phase),
        }
        usual = {Kernel: Stream.COMPUTE, Send: Stream.SENDING}.get(type(event), Stream.COMMUNICATION)
        if event.stream is not usual:
            attributes["stream"] = ("string_val", event.stream.value)
        if isinstance(event, Kernel):
            return self._kernel(event, attributes)
        if isinstance(event, Collective):
            return self._collective(event, rank, attributes)
        attributes |= {"comm_size": ("int64_val", event.nbytes), "comm_tag": ("int32_val", 0)}
        src, dst = (rank, peer) if isinstance(event, Send) else (peer, rank)
        attributes |= {"comm_src": ("int32_val", src), "comm_dst": ("int32_val", dst)}
        kind = SEND if isinstance(event, Send) else RECEIVE
        return message("Node")(name=event.KIND, type=kind, attr=_attributes(attributes))

    def _kernel(self, kernel: Kernel, attributes: dict[str, tuple[str, Any]]) -> Any:
        attributes |= {
            "num_ops": ("int64_val", max(1, kernel.flops)),
            "tensor_size": ("uint64_val", kernel.nbytes),
            "dtype": ("string_val", kernel.dtype),
        }
        if kernel.seconds is not None:
            del attributes["num_ops"]  # measured, whatever it computes
        return message("Node")(
            name=kernel.op,
            type=COMPUTE,
            duration_micros=_micros(self._setting.kernel_seconds(kernel)),
            inputs=message("IOInfo")(shapes=json.dumps(kernel.shapes)),
            attr=_attributes(attributes),
        )

    def _collective(self, event: Collective, rank: int, attributes: dict[str, tuple[str, Any]]) -> Any:
        members = _members(self._setting.workload.mesh, event.axes)
        sent = event.nbytes // members if event.kind in GATHERS else event.nbytes
        attributes |= {
            "comm_type": ("int64_val", COLLECTIVES[event.kind]),
            "comm_size": ("int64_val", sent),
            "dtype": ("string_val", event.dtype),
        }
        if self._numbers[event.axes]:
            number = self._numbers[event.axes] + int(self._group_of[event.axes][rank])
            attributes["pg_name"] = ("string_val", str(number))
        return message("Node")(
            name=event.kind.value,
            type=COLLECTIVE,
            duration_micros=_micros(self._setting.communication.collective(event).seconds),
            attr=_attributes(attributes),
        )


def _waits(role: Role) -> dict[int, list[int]]:
    """For what each event waits, the one before on its stream included."""
    last: dict[Stream, int] = {}
    found = {}
    for index, event in enumerate(role.events):
        before = [last[event.stream]] if event.stream in last else []
        found[index] = list(dict.fromkeys((*event.waits, *before)))
        last[event.stream] = index
    return found


def _members(mesh: Mesh, axes: _Axes) -> int:
    return int(np.prod([mesh.shape[mesh.index(axis)] for axis in axes], dtype=np.int64))


def _micros(seconds: float) -> int:
    """Whole microseconds, the unit of a trace; one at least, as nothing would be no prediction."""
    return max(1, round(1e6 * seconds))


def _attributes(values: Mapping[str, tuple[str, Any]]) -> list[Any]:
    kind = message("AttributeProto")
    return [kind(name=name, **{field: value}) for name, (field, value) in values.items()]
