"""The bytes of Chakra's files, read by protobuf without this schema: by field numbers alone."""

import io
from pathlib import Path
from typing import Any

import pytest
from fujimi_core.errors import FujimiError, WorkloadError
from fujimi_sim.chakra import schema
from google.protobuf.empty_pb2 import Empty
from google.protobuf.unknown_fields import UnknownFieldSet


def fields(content: bytes) -> list[tuple[int, object]]:
    """Number and value of each field, in order; 2 is protobuf's wire type of texts and messages."""
    message = Empty()
    message.ParseFromString(content)
    return [(field.field_number, field.data) for field in UnknownFieldSet(message)]


def test_node_has_the_numbers_of_the_published_schema() -> None:
    # Chakra 1.0.0, schema/protobuf/et_def.proto: messages Node, IOInfo and AttributeProto
    attribute = schema.message("AttributeProto")
    node = schema.message("Node")(
        id=7,
        name="mm",
        type=schema.COMPUTE,
        ctrl_deps=[300],
        data_deps=[1, 2],
        duration_micros=9,
        inputs=schema.message("IOInfo")(values="v", shapes="s", types="t"),
        attr=[attribute(name="num_ops", int64_val=5), attribute(name="is_cpu_op", bool_val=False)],
    )
    found = fields(node.SerializeToString())
    assert [number for number, _ in found] == [1, 2, 3, 4, 5, 7, 8, 10, 10]
    assert found[:5] == [(1, 7), (2, b"mm"), (3, 4), (4, b"\xac\x02"), (5, b"\x01\x02")]
    assert found[5] == (7, 9)
    assert fields(found[6][1]) == [(1, b"v"), (2, b"s"), (3, b"t")]  # type: ignore[arg-type]
    assert fields(found[7][1]) == [(1, b"num_ops"), (9, 5)]  # type: ignore[arg-type]
    assert fields(found[8][1]) == [(1, b"is_cpu_op"), (27, 0)]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("field", "number", "value"),
    [
        ("double_val", 3, 1.5),
        ("float_val", 5, 1.5),
        ("int32_val", 7, -3),
        ("int64_val", 9, 2**40),
        ("uint32_val", 11, 3),
        ("uint64_val", 13, 2**63),
        ("sint32_val", 15, -3),
        ("sint64_val", 17, -3),
        ("fixed32_val", 19, 3),
        ("fixed64_val", 21, 3),
        ("sfixed32_val", 23, -3),
        ("sfixed64_val", 25, -3),
        ("bool_val", 27, True),
        ("string_val", 29, "x"),
    ],
)
def test_attribute_of_any_type_has_its_number(field: str, number: int, value: Any) -> None:
    content = schema.message("AttributeProto")(**{field: value}).SerializeToString()
    assert [each for each, _ in fields(content)] == [number]


def test_a_file_of_another_program_is_read(tmp_path: Path) -> None:
    # byte by byte, as the wire format has it: metadata of version "0.0.4", then a node
    metadata = b"\x0a\x050.0.4"
    all_gather = b"\x52\x0d\x0a\x09comm_type\x48\x02"
    node = b"\x12\x01a\x18\x07" + all_gather
    path = tmp_path / "a.0.et"
    path.write_bytes(bytes([len(metadata)]) + metadata + bytes([len(node)]) + node)
    read, (only,) = schema.read(path)
    assert read.version == "0.0.4"
    assert (only.id, only.name, only.type) == (0, "a", schema.COLLECTIVE)
    assert [(each.name, each.int64_val) for each in only.attr] == [("comm_type", 2)]


@pytest.mark.parametrize("length", [1, 127, 128, 20_000])
def test_messages_of_any_length_come_back(tmp_path: Path, length: int) -> None:
    node, metadata = schema.message("Node"), schema.message("GlobalMetadata")
    file = io.BytesIO()
    schema.write([metadata(version="1"), node(name="x" * length), node(id=2)], file)
    path = tmp_path / "a.0.et"
    path.write_bytes(file.getvalue())
    _, nodes = schema.read(path)
    assert [(each.id, len(each.name)) for each in nodes] == [(0, length), (2, 0)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is empty"),
        (b"\x05abc", "cut short: the message at byte 1 has 5 bytes, 3 are left"),
        (b"\x80", "no length of a message before byte 1"),
        (b"\xff" * 12, "no length of a message before byte 10"),
        (b"\x03\xff\xff\xff", "no Chakra trace"),
    ],
)
def test_damage_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.0.et"
    path.write_bytes(content)
    with pytest.raises(WorkloadError, match=message) as raised:
        schema.read(path)
    assert str(path) in str(raised.value)


def test_without_protobuf_it_is_said_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    schema._messages.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "google.protobuf", None)
    with pytest.raises(FujimiError, match=r"pip install 'fujimi-sim\[chakra\]'"):
        schema.message("Node")
    monkeypatch.undo()
    schema._messages.cache_clear()
