"""Workload files: round trips, and files that were cut, bent or never were workloads."""

import gzip
import json
from pathlib import Path

import pytest
from fujimi_core.errors import WorkloadError
from fujimi_core.mesh import Mesh
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
from fujimi_core.workload_file import load, save
from hypothesis import given
from hypothesis import strategies as st

counts = st.integers(0, 2**62)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
streams = st.sampled_from(Stream)
offsets = st.integers(-3, 3)
events = st.one_of(
    st.builds(
        Kernel,
        op=texts,
        shapes=st.lists(st.lists(counts, max_size=3).map(tuple), max_size=3).map(tuple),
        dtype=texts,
        flops=counts,
        nbytes=counts,
        phase=texts,
        stream=streams,
        seconds=st.none() | st.floats(0, 1e9),
    ),
    st.builds(
        Collective,
        kind=st.sampled_from(CollectiveKind),
        nbytes=counts,
        axes=st.sampled_from([(), ("dp",), ("pp", "dp")]),
        dtype=texts,
        stream=streams,
    ),
    st.builds(Send, nbytes=counts, axis=st.just("pp"), offset=offsets),
    st.builds(Recv, nbytes=counts, axis=st.just("pp"), offset=offsets),
)


@st.composite
def workloads(draw: st.DrawFn) -> Workload:
    stages = draw(st.integers(1, 3))
    roles = []
    for stage in range(stages):
        drawn: list[Event] = draw(st.lists(events, max_size=4))
        memory = Memory(peak_bytes=draw(counts))
        roles.append(Role(name=draw(texts), where={"pp": (stage, stage + 1)}, events=tuple(drawn), memory=memory))
    mesh = Mesh.of(pp=stages, dp=draw(st.integers(1, 4)))
    return Workload(job=draw(texts), mesh=mesh, samples_per_step=draw(st.integers(1, 10**9)), roles=tuple(roles))


@pytest.fixture
def file(tmp_path: Path, workload: Workload) -> Path:
    path = tmp_path / "tiny.workload"
    save(workload, path)
    return path


def attempt(path: Path) -> Workload | str:
    try:
        return load(path)
    except WorkloadError as refused:
        return str(refused)


def refusal(path: Path) -> str:
    with pytest.raises(WorkloadError) as refused:
        load(path)
    return str(refused.value)


def rewrite(path: Path, line: int, **changes: object) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[line - 1] = json.dumps(json.loads(lines[line - 1]) | changes)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@given(workload=workloads(), ending=st.sampled_from(["", ".gz"]))
def test_workload_written_to_a_file_is_read_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, workload: Workload, ending: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"round-trip.workload{ending}"
    save(workload, path)
    assert load(path) == workload


def test_same_workload_gives_the_same_bytes_even_when_compressed(tmp_path: Path, workload: Workload) -> None:
    save(workload, tmp_path / "a.gz")
    save(workload, tmp_path / "b.gz")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.gz", "b.gz"]  # nothing partial is left


def test_file_is_one_json_object_a_line_that_a_person_can_read(file: Path) -> None:
    header, first, kernel, *_ = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    assert (header["fujimi_workload"], header["job"], header["roles"]) == (1, "tiny", 2)
    assert (first["name"], first["event_count"]) == ("first", 2)
    assert (kernel["event"], kernel["op"], kernel["flops"]) == ("kernel", "aten.addmm", 48)


def test_file_cut_short_after_any_line_is_refused_with_that_line(file: Path) -> None:
    lines = file.read_bytes().splitlines(keepends=True)
    for kept in range(1, len(lines)):
        file.write_bytes(b"".join(lines[:kept]))
        assert refusal(file) == f"{file}: cut short after line {kept}; capture it again"


def test_file_cut_short_at_any_byte_is_refused(file: Path) -> None:
    whole = file.read_bytes()
    for kept in range(len(whole) - 1):  # the last byte is the end of the last line
        file.write_bytes(whole[:kept])
        assert str(file) in refusal(file)


def test_compressed_file_cut_short_at_any_byte_is_refused(tmp_path: Path, workload: Workload) -> None:
    path = tmp_path / "tiny.workload.gz"
    save(workload, path)
    whole = path.read_bytes()
    for kept in range(len(whole)):
        path.write_bytes(whole[:kept])
        assert str(path) in refusal(path)


def test_any_byte_that_flips_gives_a_workload_or_a_workload_error(file: Path) -> None:
    whole = file.read_bytes()
    for at in range(len(whole)):
        for flip in (0x01, 0x10, 0x80):
            file.write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
            outcome = attempt(file)
            assert isinstance(outcome, Workload) or str(file) in outcome


def test_byte_that_flips_in_a_compressed_file_never_gives_another_workload(tmp_path: Path, workload: Workload) -> None:
    path = tmp_path / "tiny.workload.gz"
    save(workload, path)
    whole = path.read_bytes()
    for at in range(10, len(whole)):  # the first ten bytes are the header of gzip, which has no checksum
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        outcome = attempt(path)
        if isinstance(outcome, Workload):
            assert outcome == workload  # the bits that fill the last byte of the stream mean nothing
        else:
            assert str(path) in outcome


@pytest.mark.parametrize(
    ("line", "changes", "message"),
    [
        (1, {"fujimi_workload": 2}, "not a workload of format 1 (made by 'fujimi capture')"),
        (1, {"roles": 1}, "line 5 comes after the last event that was announced; capture it again"),
        (1, {"roles": "two"}, "line 1: roles: Expected `int`, got `str`"),
        (1, {"job": 5}, "line 1: job: Expected `str`, got `int`"),
        (1, {"samples_per_step": 0}, "samples_per_step is 0; at least 1 is needed"),
        (1, {"mesh": []}, "line 1: mesh: Expected a table, got a list"),
        (1, {"mesh": {"axes": [{"name": "dp", "extent": 0}]}}, "mesh axis 'dp' has extent 0; at least 1 is needed"),
        (1, {"mesh": {"axes": [{"name": "dp", "extent": 8}]}}, "Unknown mesh axis: 'pp'. Known: dp."),
        (1, {"colour": "red"}, "line 1: Unknown key: 'colour'"),
        (2, {"event_count": "2"}, "line 2: no role, which would have an event_count"),
        (2, {"event_count": 1}, "line 4: no role, which would have an event_count"),
        (2, {"where": {"pp": [0]}}, "line 2: where[...]: Expected a list of length 2, got 1"),
        (2, {"where": {"pp": [0, 2]}}, "every rank has one role, but rank 4 has 2"),
        (3, {"event": "kernle"}, "line 3: Unknown event: 'kernle'. Known: collective, kernel, recv, send. Did you"),
        (3, {"event": []}, "line 3: Unknown event: '[]'"),
        (3, {"flops": -1}, "line 3: flops is -1; at least 0 is needed"),
        (3, {"flops": 1.5}, "line 3: flops: Expected `int`, got `float`"),
        (3, {"stream": "comptue"}, "line 3: Unknown stream: 'comptue'. Known: communication, compute, sending."),
        (4, {"waits": [5]}, "line 2: role 'first': event 1 waits for (5,); only earlier ones can be waited for"),
        (4, {"axis": "tp"}, "Unknown mesh axis: 'tp'. Known: dp, pp."),
    ],
)
def test_file_that_does_not_hold_together_is_refused(
    file: Path, line: int, changes: dict[str, object], message: str
) -> None:
    rewrite(file, line, **changes)
    text = refusal(file)
    assert text.startswith(f"{file}: ")
    assert message in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1 is no JSON object"),
        (b"\n", "line 1 is no JSON object"),
        (b"PK\x03\x04", "line 1 is no JSON object"),
        (b"[1, 2]", "line 1 is no JSON object"),
        (b'{"job": "\xff"}', "line 1 is no JSON object"),
        (b"{}", "not a workload of format 1"),
        (b'{"a": ' * 100_000, "line 1 is no JSON object"),
        (gzip.compress(b"{}"), "not a workload of format 1"),
        (b"\x1f\x8b\x08\x00 no gzip", "cannot read the workload"),
    ],
)
def test_file_that_is_no_workload_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    assert message in refusal(path)


def test_directory_and_missing_file_are_refused_by_their_names(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing"):
        assert refusal(path).startswith(f"cannot read the workload {path}: ")
