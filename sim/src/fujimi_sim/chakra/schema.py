"""Chakra's messages, and files of them: each after its length as a varint."""

import functools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from fujimi_core.errors import FujimiError, WorkloadError
from fujimi_core.workload import CollectiveKind

COMPUTE, SEND, RECEIVE, COLLECTIVE = 4, 5, 6, 7
#: Kinds of nodes that no simulator runs: invalid, and metadata.
NOTHING = (0, 1)
MEMORY = (2, 3)
COLLECTIVES = {
    CollectiveKind.ALL_REDUCE: 0,
    CollectiveKind.REDUCE: 1,
    CollectiveKind.ALL_GATHER: 2,
    CollectiveKind.GATHER: 3,
    CollectiveKind.SCATTER: 4,
    CollectiveKind.BROADCAST: 5,
    CollectiveKind.ALL_TO_ALL: 6,
    CollectiveKind.REDUCE_SCATTER: 7,
    CollectiveKind.BARRIER: 9,
}
KINDS = {number: kind for kind, number in COLLECTIVES.items()} | {8: CollectiveKind.REDUCE_SCATTER}
#: Of a rank's input, of which the whole buffer is as many times as long as the group has ranks.
GATHERS = (CollectiveKind.ALL_GATHER, CollectiveKind.GATHER)

_PACKAGE = "ChakraProtoMsg"
# field: number and type; what is left out here is skipped by protobuf
_FIELDS: dict[str, dict[str, tuple[int, str]]] = {
    "BoolList": {"values": (1, "repeated bool")},
    "AttributeProto": {
        "name": (1, "string"),
        "double_val": (3, "double"),
        "float_val": (5, "float"),
        "int32_val": (7, "int32"),
        "int64_val": (9, "int64"),
        "uint32_val": (11, "uint32"),
        "uint64_val": (13, "uint64"),
        "sint32_val": (15, "sint32"),
        "sint64_val": (17, "sint64"),
        "fixed32_val": (19, "fixed32"),
        "fixed64_val": (21, "fixed64"),
        "sfixed32_val": (23, "sfixed32"),
        "sfixed64_val": (25, "sfixed64"),
        "bool_val": (27, "bool"),
        "bool_list": (28, "BoolList"),
        "string_val": (29, "string"),
    },
    "GlobalMetadata": {"version": (1, "string"), "attr": (2, "repeated AttributeProto")},
    "IOInfo": {"values": (1, "string"), "shapes": (2, "string"), "types": (3, "string")},
    "Node": {
        "id": (1, "uint64"),
        "name": (2, "string"),
        "type": (3, "int32"),
        "ctrl_deps": (4, "repeated uint64"),
        "data_deps": (5, "repeated uint64"),
        "start_time_micros": (6, "uint64"),
        "duration_micros": (7, "uint64"),
        "inputs": (8, "IOInfo"),
        "outputs": (9, "IOInfo"),
        "attr": (10, "repeated AttributeProto"),
    },
}


def message(name: str) -> Any:
    """Class of a message: ``GlobalMetadata``, ``Node``, ``AttributeProto``.

    Enumerations are plain numbers, which are the same bytes.

    Raises:
        FujimiError: If protobuf is not installed.

    Source:
        MLCommons, Chakra 1.0.0, schema/protobuf/et_def.proto.
    """
    return _messages()[name]


def write(messages: Iterable[Any], file: BinaryIO) -> None:
    """Write messages one after the other."""
    for each in messages:
        content = each.SerializeToString(deterministic=True)
        file.write(_varint(len(content)) + content)


def read(path: Path) -> tuple[Any, list[Any]]:
    """Metadata and nodes of a file.

    Raises:
        WorkloadError: If it cannot be read, or is no trace.
    """
    from google.protobuf.message import DecodeError

    metadata, node = message("GlobalMetadata"), message("Node")
    try:
        first, *others = _contents(path.read_bytes())
        return metadata.FromString(first), [node.FromString(each) for each in others]
    except (OSError, DecodeError, ValueError) as wrong:
        raise WorkloadError(f"{path}: no Chakra trace: {wrong}") from None


def _contents(data: bytes) -> Iterator[memoryview]:
    """Messages without their lengths.

    Raises:
        ValueError: If there is none, or the file ends within one.
    """
    at, view = 0, memoryview(data)
    if not data:
        raise ValueError("it is empty")
    while at < len(data):
        length = shift = 0
        more = True
        while more:
            if at == len(data) or shift > 63:
                raise ValueError(f"no length of a message before byte {at}")
            length |= (data[at] & 0x7F) << shift
            more = data[at] >= 0x80
            at, shift = at + 1, shift + 7
        if at + length > len(data):
            raise ValueError(f"cut short: the message at byte {at} has {length} bytes, {len(data) - at} are left")
        yield view[at : at + length]
        at += length


def _varint(number: int) -> bytes:
    """Seven bits a byte, lowest first; all but the last with the highest bit set."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


@functools.cache
def _messages() -> dict[str, Any]:
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
    except ModuleNotFoundError:
        raise FujimiError("Chakra traces need protobuf: pip install 'fujimi-sim[chakra]'") from None
    pool = descriptor_pool.DescriptorPool()
    pool.Add(_file(descriptor_pb2))
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _FIELDS}


def _file(descriptors: Any) -> Any:
    """The schema as protobuf wants it."""
    file = descriptors.FileDescriptorProto(name="fujimi/et_def.proto", package=_PACKAGE, syntax="proto3")
    kinds = descriptors.FieldDescriptorProto
    for name, fields in _FIELDS.items():
        table = file.message_type.add(name=name)
        for field, (number, kind) in fields.items():
            repeated, kind = kind.startswith("repeated "), kind.removeprefix("repeated ")
            added = table.field.add(name=field, number=number)
            added.label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            added.type = kinds.TYPE_MESSAGE if kind in _FIELDS else getattr(kinds, f"TYPE_{kind.upper()}")
            if kind in _FIELDS:
                added.type_name = f".{_PACKAGE}.{kind}"
            if name == "AttributeProto" and field != "name":
                added.oneof_index = 0
        if name == "AttributeProto":
            table.oneof_decl.add(name="value")
    return file
