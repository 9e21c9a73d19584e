"""Reads Chakra traces, a file a rank, as a workload."""

import json
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fujimi_core.errors import WorkloadError
from fujimi_core.mesh import Mesh
from fujimi_core.records import build
from fujimi_core.workload import Collective, Event, Kernel, Memory, Recv, Role, Send, Workload

from fujimi_sim.chakra.meshes import axes_along, boxes, mesh_of, step_along
from fujimi_sim.chakra.nodes import Act, Computed, Joined, NodeReader, Passed, groups_told
from fujimi_sim.chakra.schema import message, read
from fujimi_sim.chakra.writing import GROUPS_FILE, OWN

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Own:
    """What Fujimi writes into the metadata of a trace."""

    job: str
    samples_per_step: int
    mesh: Mesh
    role: str
    memory: Memory


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rank:
    acts: tuple[Act, ...]
    own: _Own | None


def read_traces(directory: Path, *, progress: Callable[[int], None] = lambda _ranks: None) -> Workload:
    """Make a workload of the traces in a directory, named ``<anything>.<rank>.et``.

    Process groups come from ``comm_groups.json`` (lists of ranks by name) or from the traces themselves. Ranks that
    do the same are one role. A trace without a batch counts as one sample a step.

    Args:
        directory: Where they are.
        progress: Told before each trace how many there are.

    Raises:
        FujimiError: If protobuf is not installed.
        WorkloadError: If a rank has no trace, a trace is damaged, or groups are no slices of one mesh.
    """
    message("Node")
    paths = _paths(directory)
    listed = _listed_groups(directory)
    reader = NodeReader(len(paths))
    seen: dict[_Rank, _Rank] = {}  # one of those that are equal
    ranks: list[_Rank] = []
    for path in paths:
        progress(len(paths))
        metadata, nodes = read(path)
        try:
            groups = listed | groups_told(nodes)
        except (ValueError, KeyError, TypeError) as wrong:
            raise WorkloadError(f"{path}: a metadata node lists process groups in an unknown way: {wrong}") from None
        rank = _Rank(acts=reader.acts(nodes, groups, path), own=_own(metadata, path))
        ranks.append(seen.setdefault(rank, rank))
    for what, count in reader.noted.items():
        _log.warning("%s: %s (%s)", directory, what, f"{count:,}")
    try:
        return _workload(directory.resolve().name, ranks)
    except (ValueError, WorkloadError) as wrong:
        raise WorkloadError(f"{directory}: {wrong}") from None


def _paths(directory: Path) -> list[Path]:
    """Traces in the order of their ranks."""
    found = {
        (match.group(1), int(match.group(2))): path
        for path in directory.iterdir()
        if (match := re.fullmatch(r"(.*)\.(\d+)\.et", path.name))
    }
    names = sorted({name for name, _ in found})
    if len(names) != 1:
        what = f"traces of several runs ({', '.join(names)})" if names else "no Chakra traces, <name>.<rank>.et,"
        raise WorkloadError(f"{directory} holds {what}; give a directory with those of one run")
    numbers = sorted(rank for _, rank in found)
    missing = sorted(set(range(len(numbers))) - set(numbers))
    if missing:
        raise WorkloadError(f"{directory}: rank {missing[0]} has no trace, {names[0]}.{missing[0]}.et")
    return [found[names[0], rank] for rank in numbers]


def _listed_groups(directory: Path) -> dict[str, tuple[int, ...]]:
    path = directory / GROUPS_FILE
    if not path.exists():
        return {}
    try:
        table = json.loads(path.read_bytes())
        return {str(name): tuple(sorted(int(rank) for rank in ranks)) for name, ranks in table.items()}
    except (OSError, ValueError, TypeError, AttributeError) as wrong:
        raise WorkloadError(f"{path}: no lists of ranks by the names of groups: {wrong}") from None


def _own(metadata: Any, path: Path) -> _Own | None:
    text = next((each.string_val for each in metadata.attr if each.name == OWN), None)
    if text is None:
        return None
    try:
        table = json.loads(text)
    except ValueError as wrong:
        raise WorkloadError(f"{path}: its metadata is damaged: {wrong}") from None
    return build(_Own, table, where=str(path), error=WorkloadError)


def _workload(name: str, ranks: Sequence[_Rank]) -> Workload:
    own = ranks[0].own
    mesh = own.mesh if own else mesh_of(len(ranks), {group for rank in set(ranks) for group in _groups(rank)})
    if mesh.world_size != len(ranks):
        raise WorkloadError(f"the mesh has {mesh.world_size:,} ranks, but there are {len(ranks):,} traces")
    does = [(_role_name(rank), rank.own, _events(rank, number, mesh)) for number, rank in enumerate(ranks)]
    kinds = {each: label for label, each in enumerate(dict.fromkeys(does))}
    known = list(kinds)
    labels = np.array([kinds[each] for each in does], np.int64)
    roles = []
    for label, where in boxes(mesh, labels):
        title, said, events = known[label]
        memory = said.memory if said else Memory()
        roles.append(Role(name=title or _first(mesh, where), where=where, events=events, memory=memory))
    return Workload(
        job=own.job if own else name,
        mesh=mesh,
        samples_per_step=own.samples_per_step if own else 1,
        roles=tuple(roles),
    )


def _groups(rank: _Rank) -> set[tuple[int, ...]]:
    return {act.what.group for act in rank.acts if isinstance(act.what, Joined) and act.what.group}


def _role_name(rank: _Rank) -> str:
    return rank.own.role if rank.own else ""


def _first(mesh: Mesh, where: dict[str, tuple[int, int]]) -> str:
    return f"as rank {int(mesh.slice(where)[0])}"


def _events(rank: _Rank, number: int, mesh: Mesh) -> tuple[Event, ...]:
    return tuple(_event(act, number, mesh) for act in rank.acts)


def _event(act: Act, rank: int, mesh: Mesh) -> Event:
    what = act.what
    if isinstance(what, Computed):
        return Kernel(
            op=what.op,
            shapes=what.shapes,
            dtype=what.dtype,
            flops=what.flops,
            nbytes=what.nbytes,
            seconds=what.seconds,
            phase=act.phase,
            stream=act.stream,
            waits=act.waits,
        )
    if isinstance(what, Joined):
        axes = axes_along(mesh, what.group) if what.group else mesh.names
        return Collective(
            kind=what.kind,
            nbytes=what.nbytes,
            axes=axes,
            dtype=what.dtype,
            phase=act.phase,
            stream=act.stream,
            waits=act.waits,
        )
    return _message(what, act, rank, mesh)


def _message(what: Passed, act: Act, rank: int, mesh: Mesh) -> Send | Recv:
    axis, offset = step_along(mesh, rank, what.peer)
    kind = Send if what.sends else Recv
    return kind(nbytes=what.nbytes, axis=axis, offset=offset, phase=act.phase, stream=act.stream, waits=act.waits)
