"""What a report's page shows, as plain data for its script."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from fujimi_core.records import to_table
from fujimi_core.units import format_quantity
from fujimi_core.workload import Stream

from fujimi_sim.network.heat import Busy, Heat
from fujimi_sim.simulation import Point, Report
from fujimi_sim.timeline import Slice, Timeline, Track, What

#: Tracks that a page has room for.
TRACKS = 16
#: Slices shorter than this share of the step are drawn together; a page is not wider in pixels.
SHORTEST = 1 / 1500


def point_data(point: Point) -> dict[str, Any]:
    """A size, with the memory that belongs to no kind."""
    table = to_table(point)
    memory = table["memory"]
    kinds = sum(value for key, value in memory.items() if key != "peak_bytes")
    memory["other_bytes"] = max(0, memory["peak_bytes"] - kinds)
    return table


def timeline_data(timeline: Timeline, *, nodes: int) -> dict[str, Any]:
    """Rows of slices: start, end, what, name, details.

    Args:
        timeline: One step.
        nodes: On how many it was.
    """
    shown = _spread(timeline.tracks, TRACKS)
    left_out = len(timeline.tracks) - len(shown)
    which = f"{len(shown)} of {len(timeline.tracks)} roles" if left_out else f"all {len(shown)} roles"
    note = f"{which}, the first rank of each." if len(timeline.tracks) > 1 else "the first rank."
    return {
        "step_s": timeline.step_s,
        "nodes": nodes,
        "note": note,
        "tracks": [_track(track, timeline.step_s) for track in shown],
    }


def network_data(heat: Heat, *, nodes: int, step_s: float) -> dict[str, Any]:
    """Load of links and interfaces in one step; maps where the network is a grid.

    Args:
        heat: Of all communication of the step.
        nodes: Of the job.
        step_s: Time of the step.
    """
    return {
        "nodes": nodes,
        "step_s": step_s,
        "plane": [heat.axes[axis].name for axis in heat.plane],
        "others": len(heat.axes) > 2,
        "links": [_busy(each) | (_plane(heat, each) if heat.axes else {}) for each in heat.links],
        "interfaces": [_busy(each) for each in heat.nodes],
    }


def report_data(
    report: Report,
    *,
    device: dict[str, Any],
    timeline: dict[str, Any] | None,
    network: dict[str, Any] | None,
    run_seconds: Sequence[float],
) -> dict[str, Any]:
    """All that the script reads; the report itself is in it under its own names."""
    return to_table(report) | {
        "points": [point_data(point) for point in report.points],
        "device": device,
        "timeline": timeline,
        "network": network,
        "runs": list(run_seconds),
    }


def _track(track: Track, step_s: float) -> dict[str, Any]:
    rows = []
    for stream in Stream:
        slices = [each for each in track.slices if each.stream is stream and each.what is not What.KERNEL]
        if slices:
            rows.append({"stream": stream.value, "slices": list(_drawn(slices, SHORTEST * step_s))})
    return {"role": track.role, "rank": track.rank, "ranks": track.ranks, "rows": rows}


def _drawn(slices: Sequence[Slice], least_s: float) -> Iterator[list[Any]]:
    """Slices as they are drawn: short ones that follow each other closely are one, of the kind that most of it is."""
    short: list[Slice] = []
    for each in slices:
        is_short = each.end_s - each.start_s < least_s
        if short and not (
            is_short and each.start_s - short[-1].end_s < least_s and each.end_s - short[0].start_s < 2 * least_s
        ):
            yield _joined(short)
            short = []
        if is_short:
            short.append(each)
        else:
            yield _one(each)
    if short:
        yield _joined(short)


def _joined(short: Sequence[Slice]) -> list[Any]:
    if len(short) == 1:
        return _one(short[0])
    seconds = dict.fromkeys(What, 0.0)
    for each in short:
        seconds[each.what] += each.end_s - each.start_s
    most = max(seconds, key=seconds.__getitem__)
    parts = ", ".join(f"{what.value} {format_quantity(took, 's')}" for what, took in seconds.items() if took)
    return [_time(short[0].start_s), _time(short[-1].end_s), most.value, f"{len(short)} short ones", parts]


def _one(each: Slice) -> list[Any]:
    return [_time(each.start_s), _time(each.end_s), each.what.value, each.name, _details(each)]


def _details(each: Slice) -> str:
    """Lines below the name, for those who point at a slice."""
    lines = []
    for key, value in each.details.items():
        if isinstance(value, dict):
            lines += [f"{share} {name}" for name, share in list(value.items())[:6]]
        elif key == "bytes" and isinstance(value, int):
            lines.append(format_quantity(value, "B"))
        elif key == "flops" and isinstance(value, int):
            lines.append(format_quantity(value, "FLOP"))
        elif value != "":
            lines.append(f"{key}: {value}")
    return "\n".join(lines)


def _time(seconds: float) -> float:
    """Rounded to what a page can show."""
    return float(f"{seconds:.7g}")


def _spread(tracks: Sequence[Track], most: int) -> list[Track]:
    """The first, the last and some evenly between."""
    if len(tracks) <= most:
        return list(tracks)
    return [tracks[round(place * (len(tracks) - 1) / (most - 1))] for place in range(most)]


def _busy(busy: Busy) -> dict[str, Any]:
    return {"name": busy.name, "mean_s": busy.mean_s, "max_s": busy.max_s}


def _plane(heat: Heat, busy: Busy) -> dict[str, Any]:
    rows = heat.projected(busy).tolist()
    return {"seconds": [[None if math.isnan(value) else float(f"{value:.4g}") for value in row] for row in rows]}
