"""A run's report in words."""

import math

from fujimi_core.tables import table
from fujimi_core.units import count_of, format_quantity

from fujimi_sim.run.report import CheckpointReport, ReadingReport, RunReport, Spread

_NAMES = {
    "waiting_s": "waiting in the queue",
    "staging_s": "staging",
    "launch_s": "launch",
    "start_s": "program start",
    "restore_s": "reading checkpoints",
    "steps_s": "steps",
    "stragglers_s": "stragglers",
    "reading_s": "reading stalls",
    "checkpoints_s": "checkpoints",
    "lost_s": "lost work",
    "detection_s": "unnoticed hangs",
}
#: Name, seconds, and from how many on the next is taken.
_UNITS = (("min", 60, 7_200), ("h", 3_600, 172_800), ("days", 86_400, math.inf))


def in_words(report: RunReport) -> str:
    """Write a report for people."""
    spares = f" and {count_of(report.spares, 'spare')}" if report.spares else ""
    lines = [
        f"{report.job} on {count_of(report.nodes, 'node')}{spares} of {report.machine}: a prediction from "
        f"{count_of(report.runs, 'run')} of {count_of(report.steps, 'step')}, {count_of(report.samples, 'sample')}",
        _spreads(report),
        "",
        _parts(report),
    ]
    if report.states:
        lines += ["", _states(report)]
    lines += ["", *_checkpoint(report.checkpoint, report)]
    if report.reading:
        lines += _reading(report.reading, report)
    if report.mtbf_s is not None:
        source = f" ({report.mtbf_source})" if report.mtbf_source else ""
        lines.append(f"failures: one in {duration(report.mtbf_s)} on the average{source}")
    if report.memory_shortage:
        lines.append(f"memory: DOES NOT FIT: {report.memory_shortage}")
    return "\n".join([*lines, *(f"left out: {what}" for what in report.left_out)])


def duration(seconds: float, *, like_s: float | None = None) -> str:
    """Write a time in the unit that leaves one to three digits before the point.

    >>> duration(0.0123), duration(59.94), duration(5400), duration(400_000), duration(5400, like_s=400_000)
    ('12.3 ms', '59.9 s', '90.0 min', '4.6 days', '0.1 days')

    Args:
        seconds: What to write.
        like_s: Another time, whose unit is taken.
    """
    like_s = seconds if like_s is None else like_s
    if like_s < 100:
        return format_quantity(float(f"{seconds:.3g}"), "s")
    unit, factor = next((unit, factor) for unit, factor, until in _UNITS if like_s < until)
    return f"{seconds / factor:,.1f} {unit}"


def _spreads(report: RunReport) -> str:
    rows = [
        ["time", *(duration(value, like_s=report.time_s.p95) for value in _values(report.time_s))],
        ["failures", *(f"{value:,.3g}" for value in _values(report.failures))],
        ["submissions", *(f"{value:,.3g}" for value in _values(report.submissions))],
        ["node-hours", *(f"{value:,.0f}" for value in _values(report.node_hours))],
    ]
    return table(["", "mean", "p5", "p50", "p95"], rows)


def _values(spread: Spread) -> tuple[float, ...]:
    return spread.mean, spread.p5, spread.p50, spread.p95


def _parts(report: RunReport) -> str:
    total_s = report.time_s.mean
    rows = [
        [_NAMES[name], duration(part_s), f"{part_s / total_s:.1%}"]
        for name, part_s in report.parts_s.items()
        if part_s > 0
    ]
    return table(["of the mean time", "", "share"], rows)


def _states(report: RunReport) -> str:
    rows = [
        [
            state.name + (" (all above)" if state.is_described else ""),
            duration(state.time_s),
            format_quantity(state.energy_j / 3600, "W") + "h",
            f"{state.idle_j / state.energy_j:.1%}",
            format_quantity(state.step_j, "J"),
            format_quantity(state.sample_j, "J"),
        ]
        for state in report.states
    ]
    return table(["power state", "time p50", "energy", "idle", "a step", "a sample"], rows)


def _checkpoint(checkpoint: CheckpointReport, report: RunReport) -> list[str]:
    nbytes = format_quantity(checkpoint.nbytes, "B")
    often = f"every {count_of(checkpoint.every, 'step')}" if checkpoint.every else "at the end only"
    lines = [
        f"checkpoints: {nbytes} {often}; training stops for {duration(checkpoint.copy_s)}, whole after "
        f"{duration(checkpoint.write_s)} more, read in {duration(checkpoint.restore_s)}"
    ]
    if best := checkpoint.best:
        lines.append(
            f"best interval: {duration(best.young_s)} (Young), {duration(best.daly_s)} (Daly), "
            f"{duration(best.simulated_s)} = every {count_of(best.every, 'step')} (simulated: "
            f"{duration(best.time_s)} instead of {duration(report.time_s.mean)})"
        )
    return lines


def _reading(reading: ReadingReport, report: RunReport) -> list[str]:
    where = "staged to the nodes" if reading.staged else "on the shared file system"
    files_s = max(reading.files_step_s, report.even_step_s)
    slower = f"{files_s / max(reading.step_s, report.even_step_s):,.1f} times as long"
    staging = f", staging {duration(reading.files_stage_s)} instead of {duration(reading.stage_s)}"
    return [
        f"reading: {format_quantity(reading.dataset_bytes, 'B')} {where}; the samples of a step come in "
        f"{duration(reading.step_s)}, beside a step of {duration(report.even_step_s)}",
        f"with one file a sample they would come in {duration(reading.files_step_s)}, a step take {slower}"
        + (staging if reading.staged else ""),
    ]
