"""What one rank does, as its Chakra trace says it, in numbers of ranks."""

import ast
import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fujimi_core.errors import WorkloadError
from fujimi_core.workload import CollectiveKind, Stream

from fujimi_sim.chakra.dependencies import bypass, ordered
from fujimi_sim.chakra.schema import COLLECTIVE, COMPUTE, GATHERS, KINDS, MEMORY, NOTHING, RECEIVE, SEND

#: For nodes that do not say theirs.
UNSAID = "float32"
Groups = Mapping[str, tuple[int, ...]]
_DTYPES = {
    "bfloat16": "bfloat16",
    "half": "float16",
    "float16": "float16",
    "double": "float64",
    "float64": "float64",
    "float": "float32",
    "float32": "float32",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Computed:
    """A kernel.

    Args:
        op: Name of the operator.
        shapes: Of its tensors, where the trace says them.
        dtype: Type it computes in.
        flops: Floating-point operations.
        nbytes: Bytes read and written.
        seconds: Measured time, of those without operations and bytes.
    """

    op: str
    shapes: tuple[tuple[int, ...], ...]
    dtype: str
    flops: int
    nbytes: int
    seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A collective.

    Args:
        kind: Which.
        nbytes: As in `fujimi_core.workload.Collective`.
        group: Ranks that take part; empty for all.
        dtype: Type of the elements.
    """

    kind: CollectiveKind
    nbytes: int
    group: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """A message.

    Args:
        peer: To or from which rank.
        nbytes: Its size.
        sends: Whether it is sent.
    """

    peer: int
    nbytes: int
    sends: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that a rank does.

    Args:
        what: Which thing.
        phase: Of the step, where the trace says it.
        stream: On which queue.
        waits: Positions of acts of the other stream that must have ended.
    """

    what: Computed | Joined | Passed
    phase: str
    stream: Stream
    waits: tuple[int, ...]


class NodeReader:
    """Makes acts of nodes, and counts what it has to leave out or take for granted."""

    def __init__(self, world_size: int) -> None:
        self.noted: Counter[str] = Counter()
        self._world_size = world_size

    def acts(self, nodes: list[Any], groups: Groups, path: Path) -> tuple[Act, ...]:
        """What a rank does, in an order in which nothing waits for what comes later.

        Streams do one thing after the other, so that of those on the other stream only the last has to be waited for.

        Raises:
            WorkloadError: If a node lacks something, or some wait for each other.
        """
        by_id = {node.id: node for node in nodes}
        waits = {node.id: [wait for wait in _asked(node, by_id) if wait in by_id] for node in nodes}
        missing = sum(wait not in by_id for node in nodes for wait in _asked(node, by_id))
        if missing:
            self.noted["dependencies on nodes that are not in the trace are left out"] += missing
        try:
            order = ordered(waits)
        except ValueError as wrong:
            raise WorkloadError(f"{path}: {wrong}") from None
        read: dict[int, _Read] = {}
        for number in order:
            found = self._read(by_id[number], groups, path)
            if found:
                read[number] = found
        waits = bypass({number: waits[number] for number in order}, set(order) - set(read))
        return tuple(_acts(read, waits))

    def _read(self, node: Any, groups: Groups, path: Path) -> "_Read | None":
        attributes = {each.name: getattr(each, each.WhichOneof("value") or "name") for each in node.attr}
        if node.type in NOTHING:
            return None
        if _on_host(node):
            self.noted["operators of hosts, which are not modelled, are left out"] += 1
            return None
        if node.type in MEMORY:
            self.noted["accesses to remote memory, which is not modelled, are left out"] += 1
            return None
        where = f"{path}: node {node.id} {node.name!r}"
        if node.type == COMPUTE:
            what: Computed | Joined | Passed = self._computed(node, attributes)
        elif node.type == COLLECTIVE:
            what = self._joined(attributes, groups, where)
        elif node.type in (SEND, RECEIVE):
            what = self._passed(node, attributes, where)
        else:
            raise WorkloadError(f"{where} is of type {node.type}; known are 0 to 7")
        usual = {COMPUTE: Stream.COMPUTE, SEND: Stream.SENDING}.get(node.type, Stream.COMMUNICATION)
        stream = Stream(attributes.get("stream", usual))
        return _Read(what=what, phase=str(attributes.get("phase", "")), stream=stream)

    def _computed(self, node: Any, attributes: Mapping[str, Any]) -> Computed:
        counted = "num_ops" in attributes and "tensor_size" in attributes
        dtype = attributes.get("dtype") or _dtype(node.inputs.types)
        if counted and not dtype:
            self.noted[f"operators do not say their type, and are taken for {UNSAID}"] += 1
        operations = int(attributes["num_ops"]) if counted else 0
        return Computed(
            op=node.name,
            shapes=_shapes(node.inputs.shapes),
            dtype=str(dtype or UNSAID),
            flops=operations if operations > 1 else 0,  # one stands for none, which a roofline could not take
            nbytes=int(attributes.get("tensor_size", 0)),
            seconds=None if counted else 1e-6 * node.duration_micros,
        )

    def _joined(self, attributes: Mapping[str, Any], groups: Groups, where: str) -> Joined:
        number = _number(attributes, "comm_type", where)
        if number not in KINDS:
            raise WorkloadError(f"{where} has comm_type {number}; known are 0 to 9")
        kind, name = KINDS[number], str(attributes.get("pg_name", ""))
        if name not in groups and name not in ("", "0"):
            raise WorkloadError(f"{where} is for the process group {name!r}, of which the ranks are not told")
        if not name and not all(getattr(attributes.get("involved_dim"), "values", [])):
            raise WorkloadError(f"{where} is for some dimensions of a network; give it a process group (pg_name)")
        group = groups.get(name, ())
        sent = 0 if kind is CollectiveKind.BARRIER else _number(attributes, "comm_size", where)
        nbytes = sent * (len(group) or self._world_size) if kind in GATHERS else sent
        return Joined(kind=kind, nbytes=nbytes, group=group, dtype=str(attributes.get("dtype", UNSAID)))

    def _passed(self, node: Any, attributes: Mapping[str, Any], where: str) -> Passed:
        sends = node.type == SEND
        peer = _number(attributes, "comm_dst" if sends else "comm_src", where)
        if not 0 <= peer < self._world_size:
            raise WorkloadError(f"{where} is for rank {peer}; there are {self._world_size:,}")
        return Passed(peer=peer, nbytes=_number(attributes, "comm_size", where), sends=sends)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    what: Computed | Joined | Passed
    phase: str
    stream: Stream


def _acts(read: Mapping[int, _Read], waits: Mapping[int, list[int]]) -> list[Act]:
    place = {number: index for index, number in enumerate(read)}
    found = []
    for number, each in read.items():
        others = [place[wait] for wait in waits[number] if read[wait].stream is not each.stream]
        last = (max(others),) if others else ()
        found.append(Act(what=each.what, phase=each.phase, stream=each.stream, waits=last))
    return found


def _asked(node: Any, by_id: Mapping[int, Any]) -> list[int]:
    """For which nodes a node waits.

    A control dependency on an operator of the host is the call that it was made in, which ends later.
    """
    control = [] if _on_host(node) else [wait for wait in node.ctrl_deps if not _on_host(by_id.get(wait))]
    return [*node.data_deps, *control]


def _on_host(node: Any) -> bool:
    return node is not None and any(each.name == "is_cpu_op" and each.bool_val for each in node.attr)


def groups_told(nodes: list[Any]) -> dict[str, tuple[int, ...]]:
    """Process groups that a trace of PyTorch lists in a metadata node: JSON in a text in a list."""
    found: dict[str, tuple[int, ...]] = {}
    for node in nodes:
        text = node.inputs.values if node.type in NOTHING else ""
        if "pg_name" in text:
            listed = json.loads(text.strip("[]'\" ").join("[]"))
            found |= {str(each["pg_name"]): tuple(sorted(each["ranks"])) for each in listed}
    return found


def _number(attributes: Mapping[str, Any], name: str, where: str) -> int:
    if name not in attributes:
        raise WorkloadError(f"{where} has no {name}")
    return int(attributes[name])


def _shapes(text: str) -> tuple[tuple[int, ...], ...]:
    """Those of ``[[2, 3], [3]]``; none where a list of tensors or something else is among them."""
    try:
        listed = ast.literal_eval(text)
        return tuple(tuple(int(extent) for extent in shape) for shape in listed)
    except (ValueError, SyntaxError, TypeError):
        return ()


def _dtype(types: str) -> str | None:
    """Of the first tensor: ``Tensor(c10::BFloat16)``, ``Tensor(float)``."""
    found = re.search(r"Tensor\((?:c10::)?(\w+)\)", types)
    return _DTYPES.get(found.group(1).lower()) if found else None
