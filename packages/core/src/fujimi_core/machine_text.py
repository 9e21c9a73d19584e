"""Machines as the text of a machine file, every number beside its source."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fujimi_core.machine import Machine
from fujimi_core.records import to_table

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def machine_toml(machine: Machine) -> str:
    """The text of a file from which `fujimi_core.machine_file.load` makes this machine.

    A source stands for all that lies below its key. Numbers without a source are taken for defaults and left out.

    Args:
        machine: Which.
    """
    table = to_table(machine)
    sources = table.pop("sources")
    return "\n".join(_section(table, (), sources)) + "\n"


def _section(table: Mapping[str, Any], path: tuple[str, ...], sources: Mapping[str, str]) -> Iterator[str]:
    """Lines of a table: values before tables, for what follows the head of a table belongs to that one."""
    tables, lines = [], []
    for name, value in table.items():
        key = ".".join((*path, name))
        if isinstance(value, Mapping) and key not in sources:
            tables.append((name, value))
        elif text := _value(value, key, sources):
            lines.append(f"{_key(name)} = {text}")
    if lines and path:
        yield from ("", f"[{'.'.join(map(_key, path))}]")
    yield from lines
    for name, value in tables:
        yield from _section(value, (*path, name), sources)


def _value(value: Any, key: str, sources: Mapping[str, str]) -> str:
    """A value with its source, on one line; empty if it is left out."""
    if key in sources and value is not None:
        return f"{{ value = {_bare(value)}, source = {_text(sources[key])} }}"
    if isinstance(value, Mapping):
        return _inline((name, _value(item, f"{key}.{name}", sources)) for name, item in value.items())
    if isinstance(value, list | tuple) and value:
        return f"[{', '.join(_value(item, f'{key}[{index}]', sources) for index, item in enumerate(value))}]"
    return _bare(value) if isinstance(value, str | bool) else ""


def _bare(value: Any) -> str:
    """A value without sources, on one line; empty if it is nothing."""
    if isinstance(value, Mapping):
        return _inline((name, _bare(item)) for name, item in value.items())
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_bare, value))}]"
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or value == math.inf:  # a default, which files cannot say
        return ""
    return _text(value) if isinstance(value, str) else _number(value)


def _number(value: float) -> str:
    """A number with all its digits, and a short one in few characters."""
    short = f"{value:.4g}"
    return short if isinstance(value, float) and float(short) == value else repr(value)


def _inline(items: Iterable[tuple[str, str]]) -> str:
    return f"{{ {', '.join(f'{_key(name)} = {text}' for name, text in items if text)} }}"


def _key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else _text(name)


def _text(text: str) -> str:
    """A basic string, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False)
