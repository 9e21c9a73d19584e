"""Measurements in this project's own words."""

import math
from pathlib import Path

from fujimi_core.errors import unknown
from fujimi_core.measurements import Measurement, MeasurementFile, Row
from fujimi_core.units import parse

from fujimi_sim.network.bench import OPERATIONS


def read(row: Row) -> Measurement:
    """Record of a row.

    Raises:
        ValueError: If the collective is not known, or a number is none.
    """
    if row["collective"] not in OPERATIONS:
        raise ValueError(unknown("collective", row["collective"], OPERATIONS))
    shape = tuple(int(extent) for extent in row["shape"].split("x")) if row.get("shape") else ()
    return Measurement(
        collective=row["collective"],
        nodes=int(row["nodes"]),
        shape=shape,
        ranks_per_node=int(row.get("ranks_per_node") or 1),
        nbytes=int(row["bytes"]),
        dtype=row.get("dtype") or "float32",
        reported=row.get("algorithm") or "",
        algorithm=row.get("algorithm") or "",
        seconds=parse_seconds(row["seconds"]),
    )


def parse_seconds(text: str) -> float:
    """A time; bare numbers are seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = parse(text, "s")
    if not math.isfinite(seconds):
        raise ValueError(f"seconds is {text!r}; it must be finite")
    return seconds


#: Read where no plugin offers these columns; shape, ranks_per_node, dtype and algorithm may be left out.
OWN_FORMAT = MeasurementFile(
    name="own",
    machine="",
    source="",
    path=Path(),
    columns=("collective", "nodes", "bytes", "seconds"),
    read=read,
)
