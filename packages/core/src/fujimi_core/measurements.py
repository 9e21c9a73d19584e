"""Measurements of collectives: what a benchmark reported, one record a row."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import Traversable
from pathlib import Path

from fujimi_core.checks import above_zero, at_least
from fujimi_core.errors import MachineError

Row = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """Time of one collective, or of a message.

    Args:
        collective: A `CollectiveKind`, or ``send`` for a message from one node to the next.
        nodes: Nodes that took part.
        shape: As which grid the job asked for them; empty if it did not say.
        ranks_per_node: Ranks on each.
        nbytes: One rank's whole buffer, as in `fujimi_core.workload.Collective`.
        dtype: Type of the elements.
        reported: Algorithm in the words of the benchmark; empty if none was asked for.
        algorithm: Its name here; empty if the library chose.
        modelled: Whether there is such an algorithm here.
        seconds: Measured time.
        fitted: Whether parameters of the machine were fitted to it, so that it proves nothing.
    """

    collective: str
    nodes: int
    shape: tuple[int, ...] = ()
    ranks_per_node: int = 1
    nbytes: int
    dtype: str = "float32"
    reported: str = ""
    algorithm: str = ""
    modelled: bool = True
    seconds: float
    fitted: bool = False

    def __post_init__(self) -> None:
        above_zero(self, "nodes", "ranks_per_node", "seconds")
        at_least(self, 0, "nbytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementFile:
    """A file of measurements, and how files with the same columns are read.

    Args:
        name: Short, for tables.
        machine: Name of the machine on which it was measured.
        source: Who measured, and where it was published.
        path: The file; lines that begin with # are skipped.
        columns: Columns that it must have.
        read: Makes a record of one row; raises ValueError if it cannot. None for rows that are no measurement.
    """

    name: str
    machine: str
    source: str
    path: Path | Traversable
    columns: tuple[str, ...]
    read: Callable[[Row], Measurement | None]

    def rows(self) -> list[Measurement]:
        """All measurements of the file.

        Raises:
            MachineError: If it cannot be read, lacks a column or has a row that makes no sense.
        """
        return read_rows(self.path, [self])


def read_rows(path: Path | Traversable, formats: Sequence[MeasurementFile]) -> list[Measurement]:
    """Measurements of any file that has the columns of one of the formats.

    Raises:
        MachineError: If it cannot be read, has the columns of no format, or a row makes no sense.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as wrong:
        raise MachineError(f"cannot read the measurements {path}: {wrong}") from None
    numbered = [(number, line) for number, line in enumerate(lines, start=1) if line and not line.startswith("#")]
    table = csv.DictReader(line for _, line in numbered)
    columns = tuple(table.fieldnames or ())
    fitting = next((each for each in formats if set(each.columns) <= set(columns)), None)
    if fitting is None:
        known = "; or ".join(", ".join(each.columns) for each in formats)
        raise MachineError(f"{path}: columns are {', '.join(columns) or 'missing'}; needed: {known}")
    found = []
    for (number, _), row in zip(numbered[1:], table, strict=True):
        try:
            measurement = fitting.read(row)
        except (ValueError, TypeError, KeyError) as wrong:
            raise MachineError(f"{path}, line {number}: {wrong}") from None
        if measurement:
            found.append(measurement)
    if not found:
        raise MachineError(f"{path}: no measurements below the header")
    return found
