"""Workload files: one JSON object a line, made to be read by a person too."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from fujimi_core.errors import WorkloadError
from fujimi_core.mesh import Mesh
from fujimi_core.records import build, to_table
from fujimi_core.workload import EVENTS, Event, Role, Workload

FORMAT = 1


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
    header = _object(lines[0], path, 1)
    if header.get("fujimi_workload") != FORMAT:
        raise WorkloadError(f"{path}: not a workload of format {FORMAT} (made by 'fujimi capture')")
    roles: list[Role] = []
    at = 1
    for _ in range(header.get("roles", 0)):
        role = _object(_line(lines, at, path), path, at + 1)
        count = role.pop("event_count", 0)
        events = tuple(_event(_line(lines, at + 1 + i, path), path, at + 2 + i) for i in range(count))
        roles.append(_role(role, events, f"{path}: line {at + 1}"))
        at += 1 + count
    mesh = build(Mesh, header.get("mesh", {}), where=f"{path}: line 1: mesh", error=WorkloadError)
    try:
        return Workload(job=header["job"], mesh=mesh, samples_per_step=header["samples_per_step"], roles=tuple(roles))
    except (KeyError, TypeError, ValueError) as wrong:
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
            yield encode({"event": event.KIND} | to_table(event))


def _read(path: Path) -> list[bytes]:
    try:
        text = path.read_bytes()
        if text[:2] == b"\x1f\x8b":
            text = gzip.decompress(text)
    except (OSError, EOFError, zlib.error) as wrong:
        raise WorkloadError(f"cannot read the workload {path}: {wrong}") from None
    return text.splitlines() or [b""]


def _line(lines: list[bytes], index: int, path: Path) -> bytes:
    if index >= len(lines):
        raise WorkloadError(f"{path}: cut short after line {len(lines)}; capture it again")
    return lines[index]


def _object(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError as wrong:
        raise WorkloadError(f"{path}: line {number} is no JSON object: {wrong}") from None


def _event(line: bytes, path: Path, number: int) -> Event:
    table = _object(line, path, number)
    kind = EVENTS.get(table.pop("event", ""))
    if kind is None:
        raise WorkloadError(f"{path}: line {number}: no event; known: {', '.join(EVENTS)}")
    return build(kind, table, where=f"{path}: line {number}", error=WorkloadError)


def _role(table: dict[str, Any], events: tuple[Event, ...], where: str) -> Role:
    role = build(Role, table | {"events": ()}, where=where, error=WorkloadError)
    try:
        return Role(name=role.name, where=role.where, events=events, memory=role.memory)
    except ValueError as wrong:
        raise WorkloadError(f"{where}: {wrong}") from None
