"""How far simulated collectives are from measured ones, as a page for people."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass

from fujimi_core.measurements import Measurement
from fujimi_core.tables import table
from fujimi_core.units import count_of, format_quantity

from fujimi_sim.network.bench import SEND
from fujimi_sim.network.comparison import Compared

MEBIBYTE = 1 << 20
#: Rows that are shown one by one.
WORST = 20
_COLUMNS = ("number", "MAPE", "median", "bias")


@dataclass(frozen=True, slots=True, kw_only=True)
class Errors:
    """Errors of some rows: simulated over measured time, less 1.

    Args:
        rows: How many.
        mean_absolute: Mean of their absolute values (MAPE).
        median_absolute: Median of their absolute values.
        bias: Mean of their signed values.
    """

    rows: int
    mean_absolute: float
    median_absolute: float
    bias: float

    @classmethod
    def of(cls, compared: Sequence[Compared]) -> "Errors":
        """Errors of at least one row."""
        errors = [each.error for each in compared]
        absolute = [abs(error) for error in errors]
        return cls(
            rows=len(errors),
            mean_absolute=statistics.fmean(absolute),
            median_absolute=statistics.median(absolute),
            bias=statistics.fmean(errors),
        )


def summary(compared: Sequence[Compared]) -> dict[str, Errors]:
    """Errors of the rows that the goals are about; groups without rows are left out."""
    checks = [each for each in compared if not each.measured.fitted]
    groups = {
        "not fitted": checks,
        "not fitted, 1 MiB and more, algorithm named": [
            each for each in checks if each.named and each.measured.nbytes >= MEBIBYTE and each.algorithm != SEND
        ],
        "fitted": [each for each in compared if each.measured.fitted],
        "ping-pong": [each for each in compared if each.algorithm == SEND],
    }
    return {name: Errors.of(rows) for name, rows in groups.items() if rows}


def page(compared: Sequence[Compared], left_out: Sequence[Measurement], *, sources: Iterable[str]) -> str:
    """Markdown with all tables."""
    checks = [each for each in compared if not each.measured.fitted]
    parts = [
        "Simulated over measured time, less 1. MAPE is the mean of absolute errors, bias that of signed ones. Rows to"
        " which parameters were fitted are marked and count for nothing else.",
        "Measured: " + "; ".join(sources) + ".",
        _table("rows", summary(compared)),
        "### Not fitted, by number of nodes",
        _grouped("nodes", checks, lambda each: each.measured.nodes),
        "### Not fitted, by collective",
        _grouped("collective", checks, lambda each: each.measured.collective),
        "### Not fitted, by size of the buffer",
        _grouped("bytes", checks, lambda each: decade(each.measured.nbytes)),
        "### Not fitted, by algorithm",
        "Algorithms in italics were not named by the benchmark, but chosen by the library's table.",
        _grouped("algorithm", checks, _algorithm),
        f"### The {WORST} rows not fitted that are furthest off",
        _worst(checks),
        "### All rows, errors by size",
        _by_size(compared),
        *_left_out(left_out),
    ]
    return "\n\n".join(parts) + "\n"


def decade(nbytes: int) -> str:
    """Decade in which a number of bytes lies.

    >>> decade(2_048), decade(0)
    ('1 kB to 10 kB', 'none')
    """
    if nbytes == 0:
        return "none"
    low = 10 ** (len(str(nbytes)) - 1)
    return f"{format_quantity(low, 'B')} to {format_quantity(10 * low, 'B')}"


def size(nbytes: int) -> str:
    """A number of bytes in binary units, as benchmarks write it.

    >>> size(2**20), size(3 * 2**10), size(100)
    ('1 MiB', '3 KiB', '100')
    """
    for power, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if nbytes >= 1 << power:
            return f"{nbytes / (1 << power):.4g} {unit}"
    return str(nbytes)


def _algorithm(each: Compared) -> str:
    """Name without its segment; in italics if the benchmark did not name it."""
    name = each.algorithm.partition("/")[0]
    return name if each.named else f"*{name}*"


def _grouped(header: str, compared: Sequence[Compared], key: Callable[[Compared], Hashable]) -> str:
    groups: dict[Hashable, list[Compared]] = defaultdict(list)
    for each in sorted(compared, key=lambda each: each.measured.nbytes):
        groups[key(each)].append(each)
    ordered = groups if header == "bytes" else dict(sorted(groups.items(), key=lambda item: item[0]))  # type: ignore[arg-type,return-value]  # keys of one table are of one type
    return _table(header, {str(name): Errors.of(rows) for name, rows in ordered.items()})


def _table(header: str, errors: dict[str, Errors]) -> str:
    return markdown([header, *_COLUMNS], _lines(errors))


def _lines(errors: dict[str, Errors]) -> list[list[str]]:
    return [
        [name, f"{each.rows:,}", f"{each.mean_absolute:.1%}", f"{each.median_absolute:.1%}", f"{each.bias:+.1%}"]
        for name, each in errors.items()
    ]


def _worst(compared: Sequence[Compared]) -> str:
    furthest = sorted(compared, key=lambda each: -abs(each.error))[:WORST]
    lines = [
        [
            each.measured.collective,
            str(each.measured.nodes),
            each.measured.reported or "-",
            each.algorithm,
            size(each.measured.nbytes),
            format_quantity(each.seconds, "s"),
            format_quantity(each.measured.seconds, "s"),
            f"{each.error:+.0%}",
        ]
        for each in furthest
    ]
    return markdown(["collective", "nodes", "reported", "here", "bytes", "simulated", "measured", "error"], lines)


def _by_size(compared: Sequence[Compared]) -> str:
    series: dict[tuple[str, int, str, bool], list[Compared]] = defaultdict(list)
    for each in compared:
        row = each.measured
        series[row.collective, row.nodes, row.reported or "library's choice", row.fitted].append(each)
    lines = []
    for (collective, nodes, reported, fitted), rows in sorted(series.items()):
        ordered = sorted(rows, key=lambda each: each.measured.nbytes)
        errors = ", ".join(f"{size(each.measured.nbytes)}: {each.error:+.0%}" for each in ordered)
        lines.append([collective, str(nodes), reported, "fitted" if fitted else "", errors])
    return markdown(["collective", "nodes", "reported", "", "errors"], lines)


def _left_out(left_out: Sequence[Measurement]) -> list[str]:
    if not left_out:
        return []
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for each in left_out:
        counts[each.collective, each.reported] += 1
    lines = [[collective, reported, str(count)] for (collective, reported), count in sorted(counts.items())]
    return [
        f"### Not modelled: {count_of(len(left_out), 'row')}",
        "Nobody says how these algorithms work, or nothing here does what they do.",
        markdown(["collective", "reported", "rows"], lines),
    ]


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (header, ["---"] * len(header), *lines))


def text(errors: dict[str, Errors], *, left_out: int) -> str:
    """The same summary for a terminal."""
    shown = table(["rows", *_COLUMNS], _lines(errors))
    return f"{shown}\nnot modelled: {count_of(left_out, 'row')}" if left_out else shown
