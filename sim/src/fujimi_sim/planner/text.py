"""The plans that were found, in words."""

from fujimi_core.job import ParallelSpec, Recompute
from fujimi_core.machine import Machine
from fujimi_core.tables import table
from fujimi_core.units import count_of, format_quantity

from fujimi_sim.planner.report import Objective, Planned, PlanReport

_HEADER = ("rank", "nodes", "dp", "tp", "pp", "schedule", "microbatch", "zero", "recompute", "offload", "axes")
_FIGURES = ("estimate", "step", "compute", "exposed comm.", "idle", "memory/rank")
_UNITS = {Objective.ENERGY: "J/sample", Objective.NODE_HOURS: "node-h/sample"}


def in_words(report: PlanReport, machine: Machine) -> str:
    """Write a report for people."""
    counts = report.counts
    unit = _UNITS.get(report.objective)
    header = (*_HEADER, *_FIGURES, *((unit,) if unit else ()), *(("state",) if _has_states(report) else ()))
    shown = list(report.best)
    for each in (report.own_axes, report.own):
        if each is not None and each not in shown:
            shown.append(each)
    rows = [_row(each, report) for each in shown]
    lines = [
        f"{report.job} on at most {count_of(report.nodes, 'node')} of {report.machine}, least "
        f"{report.objective.value} a sample: a prediction",
        f"{count_of(counts.looked_at, 'plan')}: {counts.refused:,} refused, {counts.too_large:,} do not fit; of "
        f"{count_of(counts.layouts, 'layout')} that do, {count_of(counts.estimated, 'plan')} estimated with their "
        f"communication, {counts.simulated:,} simulated",
        table(header, rows),
    ]
    lines += [f"{_name(each)} {each.why}" for each in shown if each.why]
    lines.append(_own(report, machine))
    spent = report.simulation
    return "\n".join([*lines, f"in {spent.cpu_s:.1f} CPU s, {format_quantity(spent.peak_rss_bytes, 'B')}"])


def _row(each: Planned, report: PlanReport) -> list[str]:
    spec, point = each.parallel, each.point
    dp = point.ranks // (spec.tensor * spec.pipeline * spec.sequence)
    shares = (point.compute_s, point.exposed_communication_s, point.idle_s)
    return [
        f"{each.rank:,}{' *' if each.is_own else ''}",
        f"{each.nodes:,}",
        *(f"{extent:,}" for extent in (dp, spec.tensor, spec.pipeline)),
        _schedule(spec),
        f"{spec.microbatch}",
        f"{spec.zero}",
        _recompute(spec),
        spec.offload.value,
        " ".join(spec.placement),
        format_quantity(each.estimated_s, "s"),
        format_quantity(point.step_s, "s"),
        *(f"{share / point.step_s:.1%}" for share in shares),
        format_quantity(point.memory_bytes_per_rank, "B"),
        *([f"{each.cost:.4g}"] if report.objective in _UNITS else []),
        *([each.power_state] if _has_states(report) else []),
    ]


def _has_states(report: PlanReport) -> bool:
    return any(each.power_state for each in report.best)


def _schedule(spec: ParallelSpec) -> str:
    if spec.pipeline == 1:
        return ""
    return spec.schedule.value + (f" x {spec.virtual_stages}" if spec.virtual_stages > 1 else "")


def _recompute(spec: ParallelSpec) -> str:
    how = spec.recompute
    return how.value if isinstance(how, Recompute) else f"{count_of(len(how), 'block')}"


def _name(each: Planned) -> str:
    return "* loses" if each.is_own else f"rank {each.rank:,} loses"


def _own(report: PlanReport, machine: Machine) -> str:
    """What is to be said of the job's own plan."""
    own = report.own
    if own is None:
        return f"the job's own plan is none on {count_of(report.nodes, 'node')}: {report.own_refused}"
    has = format_quantity(machine.node.device.memory_bytes, "B")
    fits = "" if own.point.memory_fits else f"; it does NOT fit into the {has} of {machine.node.device.name}"
    place = f"rank {own.rank:,} of {count_of(report.counts.layouts, 'layout')} that fit"
    axes = report.own_axes
    best = f"; with its axes and the best of all else: rank {axes.rank:,}" if axes and axes != own else ""
    return f"* is the job's own plan, as it stands in the file: {place}{fits}{best}"
