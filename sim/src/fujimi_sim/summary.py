"""A report in words: its table, where the time goes, and whether the job fits into memory."""

from fujimi_core.machine import Machine
from fujimi_core.tables import table
from fujimi_core.units import count_of, format_memory, format_quantity

from fujimi_sim.breakdown import Part
from fujimi_sim.simulation import Point, Report

#: Of a step, that parts too small to be listed take together at most.
_OTHERS = 0.01

HEADER = (
    "nodes",
    "ranks",
    "step",
    "compute",
    "exposed comm.",
    "idle",
    "samples/s",
    "FLOP/s",
    "of peak",
    "efficiency",
    "memory/rank",
)


def row(point: Point) -> list[str]:
    """Cells of one size, below `HEADER`."""
    shares = [point.compute_s, point.exposed_communication_s, point.idle_s]
    return [
        f"{point.nodes:,}",
        f"{point.ranks:,}",
        format_quantity(point.step_s, "s"),
        *(f"{share / point.step_s:.1%}" for share in shares),
        rate(point.samples_per_s),
        format_quantity(point.flops_per_s, "FLOP/s"),
        f"{point.fraction_of_peak:.1%}",
        f"{point.parallel_efficiency:.1%}",
        format_memory(point.memory_bytes_per_rank),
    ]


def rate(per_s: float) -> str:
    """Write a rate with at least three digits.

    >>> rate(0.01234), rate(41.26), rate(159_705.2)
    ('0.0123', '41.3', '159,705')
    """
    return f"{per_s:,.0f}" if per_s >= 999.5 else f"{per_s:.3g}"


def breakdown(point: Point) -> str:
    """Tell where the time of a step goes: its parts, the longest first, and the small ones together."""
    listed = list(point.breakdown)
    others: list[Part] = []
    while listed and sum(part.seconds for part in others) + listed[-1].seconds <= _OTHERS * point.step_s:
        others.append(listed.pop())
    rows = [[label(part), part.phase, count(part.count), *_amounts([part], point)] for part in listed]
    if others:
        rows.append([f"{len(others)} others", "", count(sum(part.count for part in others)), *_amounts(others, point)])
    title = f"{count_of(point.nodes, 'node')}: where the step goes; communication may be hidden behind kernels"
    return f"{title}\n{table(('operator or collective', 'phase', 'count', 'bytes', 'time', 'of step'), rows)}"


def label(part: Part) -> str:
    """Write what a part is.

    >>> label(Part(name="send", phase="forward", axes=("pp",), buffer_bytes=2_000, count=1, nbytes=2_000, seconds=1))
    'send of 2 kB along pp'
    """
    if not part.axes:
        return part.name
    return f"{part.name} of {format_quantity(part.buffer_bytes, 'B')} along {', '.join(part.axes)}{way(part)}"


def way(part: Part) -> str:
    """Write how a collective is done; nothing of what has no algorithm."""
    return f" by {part.algorithm}" if part.algorithm else ""


def count(number: float) -> str:
    """Write a number of times, which is a mean over ranks.

    >>> count(1_500.0), count(0.75)
    ('1,500', '0.75')
    """
    return f"{number:,.2f}".rstrip("0").rstrip(".")


def _amounts(parts: list[Part], point: Point) -> list[str]:
    seconds = sum(part.seconds for part in parts)
    nbytes = sum(part.nbytes for part in parts)
    return [format_quantity(nbytes, "B"), format_quantity(seconds, "s"), f"{seconds / point.step_s:.1%}"]


def too_large(report: Report) -> list[int]:
    """Numbers of nodes on which a rank needs more memory than its device has."""
    return [point.nodes for point in report.points if not point.memory_fits]


def memory(report: Report, machine: Machine) -> str:
    """Tell whether a rank fits into its device's memory at every size."""
    device = machine.node.device
    if not any(point.memory_bytes_per_rank for point in report.points):
        return "memory: the workload does not tell"
    worst = max(report.points, key=lambda point: point.memory_bytes_per_rank)
    sizes = too_large(report)
    if not sizes:
        need, has = format_memory(worst.memory_bytes_per_rank), format_memory(device.memory_bytes)
        return f"memory: {need} a rank fits into the {has} of {device.name}"
    *more, last = sizes
    where = "".join(f"{nodes:,}; " for nodes in more) + count_of(last, "node")
    at_most = f"on {count_of(worst.nodes, 'node')} " if more else ""
    return f"memory: DOES NOT FIT on {where}: {at_most}{worst.memory_shortage}"


def cost(report: Report) -> str:
    """Tell what the simulation itself took."""
    spent = report.simulation
    return f"simulated in {spent.cpu_s:.1f} CPU s, {format_quantity(spent.peak_rss_bytes, 'B')}"
