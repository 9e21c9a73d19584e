"""Workload files: one JSON object a line, made to be read by a person too."""

import gzip
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from fujimi_core.errors import WorkloadError, unknown
from fujimi_core.mesh import Mesh
from fujimi_core.records import build, to_table
from fujimi_core.workload import EVENTS, Event, Memory, Role, Workload

FORMAT = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    fujimi_workload: int
    job: str
    samples_per_step: int
    mesh: Mesh
    roles: int


def save(workload: Workload, path: Path) -> None:
    """Write a workload; compressed if the name ends in ``.gz``. Appears whole or not at all."""
    text = b"\n".join(_lines(workload)) + b"\n"
    if path.suffix == ".gz":
        text = gzip.compress(text, mtime=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(text)
    partial.replace(path)


def load(path: Path) -> Workload:
    """Read a workload that `save` wrote.

    Raises:
        WorkloadError: If the file is missing, cut short or not a workload; names the line.
    """
    lines = _read(path)
    table = _object(lines[0], path, 1)
    if table.get("fujimi_workload") != FORMAT:
        raise WorkloadError(f"{path}: not a workload of format {FORMAT} (made by 'fujimi capture')")
    header = build(_Header, table, where=f"{path}: line 1", error=WorkloadError)
    roles: list[Role] = []
    at = 1
    for _ in range(header.roles):
        role = _object(_line(lines, at, path), path, at + 1)
        count = role.pop("event_count", None)
        if not isinstance(count, int):
            raise WorkloadError(f"{path}: line {at + 1}: no role, which would have an event_count; capture it again")
        events = tuple(_event(_line(lines, at + 1 + i, path), path, at + 2 + i) for i in range(count))
        roles.append(_role(role, events, f"{path}: line {at + 1}"))
        at += 1 + count
    if at < len(lines):
        raise WorkloadError(f"{path}: line {at + 1} comes after the last event that was announced; capture it again")
    try:
        return Workload(job=header.job, mesh=header.mesh, samples_per_step=header.samples_per_step, roles=tuple(roles))
    except ValueError as wrong:
        raise WorkloadError(f"{path}: {wrong}") from None


def _lines(workload: Workload) -> Iterator[bytes]:
    encode = msgspec.json.encode
    header = {"fujimi_workload": FORMAT, "job": workload.job, "samples_per_step": workload.samples_per_step}
    yield encode(header | {"mesh": to_table(workload.mesh), "roles": len(workload.roles)})
    for role in workload.roles:
        table = to_table(role)
        del table["events"]
        yield encode(table | {"event_count": len(role.events)})
        for event in role.events:
            yield encode(
                {"event": event.KIND} | {key: value for key, value in to_table(event).items() if value is not None}
            )


def _read(path: Path) -> list[bytes]:
    try:
        text = path.read_bytes()
        if text[:2] == b"\x1f\x8b":
            text = gzip.decompress(text)
    except (OSError, EOFError, zlib.error) as wrong:
        raise WorkloadError(f"cannot read the workload {path}: {wrong}; 'fujimi capture' makes one of a job") from None
    return text.splitlines() or [b""]


def _line(lines: list[bytes], index: int, path: Path) -> bytes:
    if index >= len(lines):
        raise WorkloadError(f"{path}: cut short after line {len(lines)}; capture it again")
    return lines[index]


def _object(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise WorkloadError(f"{path}: line {number} is no JSON object: {wrong}; capture it again") from None


def _event(line: bytes, path: Path, number: int) -> Event:
    table = _object(line, path, number)
    name = table.pop("event", "")
    kind = EVENTS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise WorkloadError(f"{path}: line {number}: {unknown('event', str(name), EVENTS)}")
    return build(kind, table, where=f"{path}: line {number}", error=WorkloadError)


@dataclass(frozen=True, slots=True, kw_only=True)
class _RoleLine:
    """What stands in a file about a role before its events."""

    name: str
    where: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)


def _role(table: dict[str, Any], events: tuple[Event, ...], where: str) -> Role:
    line = build(_RoleLine, table, where=where, error=WorkloadError)
    try:
        return Role(name=line.name, where=line.where, events=events, memory=line.memory)
    except ValueError as wrong:
        raise WorkloadError(f"{where}: {wrong}") from None
