"""Figures that were stored, and what is different now."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from fujimi_core.atomic import atomic_file
from fujimi_core.errors import FujimiError
from fujimi_core.records import build, to_table
from fujimi_core.tables import table
from fujimi_core.units import count_of, format_memory, format_quantity

from fujimi_sim.breakdown import Part
from fujimi_sim.simulation import Point
from fujimi_sim.summary import count, label, rate, way

FORMAT = 1
#: Stored, so that another order of additions changes no file.
_DIGITS = 6
#: What these digits cannot tell apart.
_ROUNDING = 1e-5
#: So many lines about what changed are read, and so many about one kind of collective.
_LINES, _SIZES = 20, 6
#: Compared with the time of the step: twice as long as nothing is nothing.
_TIMES = ("step_s", "compute_s", "communication_s", "exposed_communication_s", "idle_s")
#: Compared with themselves.
_FIGURES: dict[str, Callable[[float], str]] = {
    "samples_per_s": rate,
    "fraction_of_peak": "{:.2%}".format,
    "parallel_efficiency": "{:.2%}".format,
    "memory_bytes_per_rank": format_memory,
}
#: A part of a step as it was and as it is.
_Pair: TypeAlias = tuple[Part, Part]


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What a file of stored figures holds.

    Args:
        fujimi_baseline: Its format.
        points: By what was simulated, in words.
    """

    fujimi_baseline: int
    points: Mapping[str, Point]

    def __post_init__(self) -> None:
        if self.fujimi_baseline != FORMAT:
            raise ValueError(f"fujimi_baseline is {self.fujimi_baseline}; this version reads {FORMAT}")


def load(path: Path) -> dict[str, Point]:
    """Read stored figures, by what was simulated.

    Raises:
        FujimiError: If the file cannot be read or does not hold such figures.
    """
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        baseline = build(Baseline, read, where=f"baseline {path}", error=FujimiError)
    except (OSError, ValueError, RecursionError) as wrong:
        raise FujimiError(f"cannot read the baseline {path}: {wrong}; delete it and store its figures anew") from None
    except FujimiError as wrong:
        raise FujimiError(f"{wrong}; delete the file and store its figures anew") from None
    return dict(baseline.points)


def save(points: Mapping[str, Point], path: Path) -> None:
    """Write figures, a line for each part of a step: what changes a line of code changes lines of this file.

    Raises:
        RunError: If the file cannot be written.
    """
    entries = ",\n".join(f"{json.dumps(name)}: {_entry(points[name])}" for name in sorted(points))
    with atomic_file(path) as file:
        file.write(f'{{"fujimi_baseline": {FORMAT}, "points": {{\n{entries}\n}}}}\n'.encode())


def difference(stored: Point, now: Point, *, tolerance: float) -> str:
    """Say which figures changed, and which operators and collectives did it; empty if none changed.

    Args:
        stored: What was.
        now: What is.
        tolerance: Share by which a figure may change: of the step for a time, of itself for others.
    """
    changed = _figures(stored, now, tolerance + _ROUNDING)
    if not changed:
        return ""
    return "\n".join([table(("figure", "stored", "now", "change"), changed), "", _what_changed(stored, now)])


def _figures(stored: Point, now: Point, tolerance: float) -> list[list[str]]:
    """A row for each figure that moved further."""
    rows = []
    for name in _TIMES:
        was, is_ = getattr(stored, name), getattr(now, name)
        moved = (is_ - was) / stored.step_s
        if abs(moved) > tolerance:
            change = f"{moved:+.1%}" if name == "step_s" else f"{moved:+.1%} of the step"
            rows.append([name, format_quantity(was, "s"), format_quantity(is_, "s"), change])
    for name, written in _FIGURES.items():
        was, is_ = getattr(stored, name), getattr(now, name)
        if abs(is_ - was) > tolerance * was:
            rows.append([name, written(was), written(is_), f"{is_ / was - 1:+.1%}" if was else "from nothing"])
    return rows


def _what_changed(stored: Point, now: Point) -> str:
    """Rows for the parts of the step that are not what they were, those that changed its time most first."""
    groups: dict[tuple[str, str, tuple[str, ...]], list[_Pair]] = {}
    for was, is_ in _pairs(stored.breakdown, now.breakdown):
        groups.setdefault((is_.name, is_.phase, is_.axes), []).append((was, is_))
    changed = [group for group in groups.values() if any(_differ(*pair) for pair in group)]
    if not changed:
        return (
            "No operator or collective has another count, size or time: "
            "their order, what waits for what, or what is kept in memory is different."
        )
    rows: list[list[str]] = []
    for group in sorted(changed, key=lambda group: -abs(_longer_s(group))):
        rows += _rows(group)
    left_out = len(rows) - _LINES
    return "\n".join(
        [
            table(("what changed", "phase", "count", "bytes", "time", "change"), rows[:_LINES]),
            *([f"and {count_of(left_out, 'line')} more"] if left_out > 0 else []),
        ]
    )


def _rows(group: list[_Pair]) -> list[list[str]]:
    """One for all collectives of a kind along the same axes, and one for each size that is not what it was."""
    (_, first), *others = group
    if not others:
        return [[label(first), first.phase, *_cells(group)]]
    pairs = sorted((pair for pair in group if _differ(*pair)), key=lambda pair: -abs(_longer_s([pair])))
    rows = [[f"{first.name} along {', '.join(first.axes)}", first.phase, *_cells(group)]]
    rows += [[f"  of {_bytes(is_.buffer_bytes)}{way(is_)}", "", *_cells([(was, is_)])] for was, is_ in pairs]
    if len(pairs) > _SIZES:
        rows[_SIZES + 1 :] = [[f"  {count_of(len(pairs) - _SIZES, 'other')}", "", *_cells(pairs[_SIZES:])]]
    return rows


def _pairs(stored: Iterable[Part], now: Iterable[Part]) -> list[_Pair]:
    """Each part as it was and as it is; one that is missing happens 0 times."""
    before, after = ({part.kind: part for part in parts} for parts in (stored, now))
    never = {kind: replace(part, count=0.0, nbytes=0.0, seconds=0.0) for kind, part in (before | after).items()}
    return [(before.get(kind, none), after.get(kind, none)) for kind, none in never.items()]


def _differ(was: Part, is_: Part) -> bool:
    amounts = zip(_amounts(was), _amounts(is_), strict=True)
    return not all(math.isclose(before, after, rel_tol=_ROUNDING) for before, after in amounts)


def _amounts(part: Part) -> tuple[float, float, float]:
    return part.count, part.nbytes, part.seconds


def _cells(group: list[_Pair]) -> list[str]:
    """Count, bytes and time as they were and are, and how much longer they take."""
    was, is_ = (np.sum([_amounts(part) for part in parts], axis=0) for parts in zip(*group, strict=True))
    cells = []
    for before, after, written in zip(was, is_, (count, _bytes, _seconds), strict=True):
        cells.append(written(after) if written(before) == written(after) else f"{written(before)} -> {written(after)}")
    longer_s = _longer_s(group)
    return [*cells, f"{'+' if longer_s > 0 else ''}{_seconds(longer_s)}"]


def _longer_s(group: Iterable[_Pair]) -> float:
    return sum(is_.seconds - was.seconds for was, is_ in group)


def _bytes(nbytes: float) -> str:
    return format_quantity(nbytes, "B")


def _seconds(seconds: float) -> str:
    return format_quantity(seconds, "s")


def _entry(point: Point) -> str:
    """JSON of a point, its parts a line each."""
    figures = _rounded(to_table(point))
    parts = ",\n".join(f"  {json.dumps(_rounded(part))}" for part in figures.pop("breakdown"))
    return f'{json.dumps(figures)[:-1]}, "breakdown": [\n{parts}\n]}}'


def _rounded(figures: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: float(f"{value:.{_DIGITS}g}") if isinstance(value, float) else value for name, value in figures.items()
    }
