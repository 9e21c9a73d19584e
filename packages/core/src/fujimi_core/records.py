"""Tables from TOML or JSON to frozen dataclasses, with errors that name the key."""

import dataclasses
import enum
import functools
import math
import re
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from fujimi_core import units
from fujimi_core.errors import FujimiError, unknown

Record = TypeVar("Record")


def build(cls: type[Record], table: Mapping[str, Any], *, where: str, error: type[FujimiError]) -> Record:
    """Check a table against a dataclass and make the record.

    Texts become numbers where the field's name says a unit (``"25 MiB"`` for ``bucket_bytes``).

    Args:
        cls: A dataclass, whose fields may be dataclasses, tuples and mappings of them.
        table: What was read from a file.
        where: The file's name, for the message.
        error: What to raise.

    Raises:
        FujimiError: Of the given type; a key is unknown or missing, or a value has the wrong type or range.
    """
    try:
        checked = _known_keys(cls, table, "")
        return msgspec.convert(checked, cls)
    except msgspec.ValidationError as wrong:
        raise error(f"{where}: {_readable(str(wrong))}") from None
    except ValueError as wrong:
        raise error(f"{where}: {wrong}") from None


def to_table(record: Any) -> dict[str, Any]:
    """Plain dicts, lists and numbers of a record; the inverse of `build`."""
    table = msgspec.to_builtins(record)
    if not isinstance(table, dict):
        raise TypeError(f"{type(record).__name__} is no record")
    return table


def _known_keys(kind: Any, value: Any, path: str) -> Any:
    """Copy a value; unknown keys are refused, quantities read."""
    kind = _without_none(kind)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind) and isinstance(value, Mapping):
        hints = _hints(kind)
        for key in value:
            if key not in hints:
                raise ValueError(unknown("key", f"{path}{key}", [f"{path}{name}" for name in hints]))
        return {key: _known_keys(hints[key], item, f"{path}{key}.") for key, item in value.items()}
    args = typing.get_args(kind)
    if isinstance(value, list) and args:
        return [_known_keys(args[0], item, f"{path[:-1]}[{i}].") for i, item in enumerate(value)]
    if isinstance(value, Mapping) and len(args) == 2:
        return {key: _known_keys(args[1], item, f"{path}{key}.") for key, item in value.items()}
    return _leaf(kind, value, path[:-1])


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    names = {field.name for field in dataclasses.fields(kind)}
    return {name: hint for name, hint in typing.get_type_hints(kind).items() if name in names}


def _leaf(kind: Any, value: Any, path: str) -> Any:
    """One value: a name of a closed set, a quantity with its unit, or whatever it is."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{path} is {value}; a finite number is needed")
    if isinstance(kind, type) and issubclass(kind, enum.Enum) and isinstance(value, str):
        names = [each.value for each in kind]
        if value not in names:
            raise ValueError(unknown(path, value, names))
    return _quantity(kind, value, path)


def _quantity(kind: Any, value: Any, path: str) -> Any:
    key = next((part for part in reversed(path.split(".")) if units.unit_of(part)), "")
    unit = units.unit_of(key)
    if not isinstance(value, str) or unit is None or kind not in (int, float):
        return value
    try:
        number = units.parse(value, unit)
    except ValueError as wrong:
        raise ValueError(f"{path}: {wrong}") from None
    if kind is int and not math.isclose(number, round(number), rel_tol=1e-12):
        raise ValueError(f"{path}: {value!r} is no whole number of {unit}")
    return round(number) if kind is int else number


def _without_none(kind: Any) -> Any:
    """The one type of ``X | None``; any other type as it is."""
    if isinstance(kind, types.UnionType) or typing.get_origin(kind) is typing.Union:
        left = [arg for arg in typing.get_args(kind) if arg is not type(None)]
        return left[0] if len(left) == 1 else kind
    return kind


def _readable(message: str) -> str:
    """Turn ``… - at `$.train.steps` `` into ``train.steps: …``, and its words into those of TOML."""
    text, found, place = message.partition(" - at `$")
    place = place.rstrip("`").lstrip(".")
    if missing := re.fullmatch(r"Object missing required field `(\w+)`", text):
        return f"{place}.{missing.group(1)} is missing".lstrip(".")
    text = text.replace("`object`", "a table").replace("`array`", "a list")
    return f"{place}: {text}" if found else text
