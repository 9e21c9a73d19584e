"""Selection tables: which algorithm a library uses for a collective, as data."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.abc import Traversable
from pathlib import Path

from fujimi_core.errors import MachineError
from fujimi_core.records import build
from fujimi_core.workload import Collective, CollectiveKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Algorithms for collectives within some bounds; a bound that is not given always holds.

    Args:
        use: Names of algorithms, best first: the next one is for groups that the one before cannot serve.
        processes: Most members of a group.
        bytes: Longest buffer.
        bytes_per_process: Longest buffer over the members of a group.
        integers: Most elements, if they are integers; others are out of bounds.
        floats: Most elements, if they are floating-point numbers; others are out of bounds.
    """

    use: tuple[str, ...]
    processes: int | None = None
    bytes: int | None = None
    bytes_per_process: int | None = None
    integers: int | None = None
    floats: int | None = None

    def __post_init__(self) -> None:
        if not self.use:
            raise ValueError("a rule needs at least one algorithm to use")

    def holds(self, collective: Collective, members: int) -> bool:
        """Whether a collective of groups of so many members is within all bounds."""
        return all(found is not None and found <= bound for found, bound in self._bounds(collective, members))

    def _bounds(self, collective: Collective, members: int) -> Iterator[tuple[float | None, float]]:
        """What a collective has and may have, for each bound; None if it has nothing that could be counted."""
        integer = collective.dtype.lstrip("u").startswith("int")
        elements = collective.nbytes / ITEM_BYTES.get(collective.dtype, 1)
        found = (
            (members, self.processes),
            (collective.nbytes, self.bytes),
            (collective.nbytes / members, self.bytes_per_process),
            (elements if integer else None, self.integers),
            (None if integer else elements, self.floats),
        )
        return ((have, bound) for have, bound in found if bound is not None)


#: Bytes of an element.
ITEM_BYTES: Mapping[str, int] = {
    f"{kind}{bits}": bits // 8
    for kind in ("int", "uint", "float", "bfloat", "complex")
    for bits in (8, 16, 32, 64, 128)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectionTable:
    """Rules of one library; the first that holds counts.

    Args:
        title: Which library, for people.
        source: Where the rules come from.
        rules: By kind of collective.
    """

    title: str
    source: str
    rules: Mapping[CollectiveKind, tuple[Rule, ...]]

    def choose(self, collective: Collective, members: int, names: Sequence[str]) -> str | None:
        """The first algorithm of the first rule that holds which is among the names; None if there is none."""
        for rule in self.rules.get(collective.kind, ()):
            if rule.holds(collective, members):
                return next((name for name in rule.use if name in names), None)
        return None


def load(file: Path | Traversable) -> SelectionTable:
    """Read a selection table.

    Raises:
        MachineError: If the file cannot be read, or a key is unknown or missing.
    """
    try:
        table = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as wrong:
        raise MachineError(f"cannot read the selection table {file}: {wrong}") from None
    return build(SelectionTable, table, where=str(file), error=MachineError)
