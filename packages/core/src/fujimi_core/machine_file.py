"""Machine files: TOML in which every number stands beside its source."""

import tomllib
from collections.abc import Mapping
from importlib.abc import Traversable
from pathlib import Path
from typing import Any

from fujimi_core.errors import MachineError
from fujimi_core.machine import Machine
from fujimi_core.records import build
from fujimi_core.units import unit_of

#: How the source of a number that nobody could check begins.
UNVERIFIED = "unverified"


def load(file: Path | Traversable, *, base: Path | Traversable | None = None) -> Machine:
    """Read a machine file.

    A sourced value is a table of ``value`` and ``source``; it may hold one number or a whole table::

        nodes = { value = 158_976, source = "RIKEN, Fugaku users guide" }

    Args:
        file: The file.
        base: Another one, of which it says only what is different; lists and sourced values are replaced whole.

    Raises:
        MachineError: If a file cannot be read, a key is unknown or missing, or a number has no source.
    """
    table = _read(file)
    if base is not None:
        table = _over(table, _read(base))
    sources: dict[str, str] = {}
    values = _split(table, "", "", sources)
    bare = [key for key, source in sources.items() if not source]
    if bare:
        raise MachineError(f'{file}: {bare[0]} has no source; write {{ value = …, source = "document, page" }}')
    return build(Machine, values | {"sources": sources}, where=str(file), error=MachineError)


def _read(file: Path | Traversable) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as wrong:
        raise MachineError(f"cannot read the machine file {file}: {wrong}") from None


def _over(table: Mapping[str, Any], base: Mapping[str, Any]) -> dict[str, Any]:
    """What the base says, and what the table says instead or besides."""
    merged = dict(base)
    for key, value in table.items():
        both = isinstance(value, Mapping) and isinstance(base.get(key), Mapping) and not _is_sourced(value)
        merged[key] = _over(value, base[key]) if both else value
    return merged


def _is_sourced(value: Mapping[str, Any]) -> bool:
    return set(value) == {"value", "source"}


def _split(value: Any, key: str, source: str, sources: dict[str, str]) -> Any:
    """Values without their sources, which are collected by dotted key; an empty one is missing."""
    if isinstance(value, Mapping) and _is_sourced(value):
        return _split(value["value"], key, str(value["source"]), sources)
    if isinstance(value, Mapping):
        return {name: _split(item, f"{key}.{name}".lstrip("."), source, sources) for name, item in value.items()}
    if isinstance(value, list):
        return [_split(item, f"{key}[{index}]", source, sources) for index, item in enumerate(value)]
    if source or _is_number(value, key):
        sources[key] = source
    return value


def _is_number(value: Any, key: str) -> bool:
    """Whether a leaf is a number, or a text that will be read as one because of the field's name."""
    if isinstance(value, str):
        return any(unit_of(part) for part in key.split("."))
    return isinstance(value, int | float) and not isinstance(value, bool)
