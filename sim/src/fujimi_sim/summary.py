"""A report in words: its table, and whether the job fits into memory."""

from fujimi_core.machine import Machine
from fujimi_core.units import count_of, format_quantity

from fujimi_sim.simulation import Point, Report

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
        format_quantity(point.memory_bytes_per_rank, "B"),
    ]


def rate(per_s: float) -> str:
    """Write a rate with at least three digits.

    >>> rate(0.01234), rate(41.26), rate(159_705.2)
    ('0.0123', '41.3', '159,705')
    """
    return f"{per_s:,.0f}" if per_s >= 999.5 else f"{per_s:.3g}"


def too_large(report: Report, machine: Machine) -> list[int]:
    """Numbers of nodes on which a rank needs more memory than its device has."""
    has = machine.node.device.memory_bytes
    return [point.nodes for point in report.points if point.memory_bytes_per_rank > has]


def memory(report: Report, machine: Machine) -> str:
    """Tell whether a rank fits into its device's memory at every size."""
    device = machine.node.device
    if not any(point.memory_bytes_per_rank for point in report.points):
        return "memory: the workload does not tell"
    need = format_quantity(max(point.memory_bytes_per_rank for point in report.points), "B")
    has = f"{format_quantity(device.memory_bytes, 'B')} of {device.name}"
    sizes = too_large(report, machine)
    if not sizes:
        return f"memory: {need} a rank fits into the {has}"
    *more, last = sizes
    where = "".join(f"{nodes:,}; " for nodes in more) + count_of(last, "node")
    return f"memory: DOES NOT FIT on {where}: up to {need} a rank, more than the {has}"


def cost(report: Report) -> str:
    """Tell what the simulation itself took."""
    spent = report.simulation
    return f"simulated in {spent.cpu_s:.1f} CPU s, {format_quantity(spent.peak_rss_bytes, 'B')}"
