"""A report as one HTML page that needs nothing else: charts, their data, and all figures."""

import html
import json
from collections.abc import Sequence
from importlib.resources import files

from fujimi_core.machine import Machine
from fujimi_core.units import count_of, format_memory, format_quantity

from fujimi_sim import summary
from fujimi_sim.network.heat import Heat
from fujimi_sim.page_data import network_data, report_data, timeline_data
from fujimi_sim.simulation import Point, Report
from fujimi_sim.timeline import Timeline

_SCRIPTS = ("frame.js", "sizes.js", "timeline.js", "network.js")


def page(
    report: Report,
    machine: Machine,
    *,
    timeline: Timeline | None = None,
    heat: Heat | None = None,
    run_seconds: Sequence[float] = (),
) -> bytes:
    """Make the page.

    Args:
        report: Figures of all sizes.
        machine: On which.
        timeline: One step on the most nodes.
        heat: Load of links and interfaces in that step.
        run_seconds: Times of simulated runs; none if only a step was simulated.
    """
    most = max(report.points, key=lambda point: point.nodes)
    device = machine.node.device
    data = report_data(
        report,
        device={"name": device.name, "memory_bytes": device.memory_bytes},
        timeline=timeline_data(timeline, nodes=most.nodes) if timeline else None,
        network=network_data(heat, nodes=most.nodes, step_s=most.step_s)
        if heat and (heat.links or heat.nodes)
        else None,
        run_seconds=run_seconds,
    )
    title = f"{report.job} on {machine.title}"
    values = {
        "title": html.escape(title),
        "job": html.escape(report.job),
        "machine": html.escape(machine.title),
        "notes": html.escape(f"A prediction, {summary.cost(report)}; {summary.memory(report, machine)}."),
        "tiles": "\n".join(_tiles(most, machine)),
        "head": "".join(f"<th>{html.escape(column)}</th>" for column in summary.HEADER),
        "rows": "".join(_row(point) for point in report.points),
        # in a script, nothing but the end tag and the beginning of a comment is markup
        "data": json.dumps(data).replace("<", "\\u003c"),
        "style": _asset("style.css"),
        "script": "".join(map(_asset, _SCRIPTS)),
    }
    return _filled(_asset("page.html"), values).encode()


def _filled(template: str, values: dict[str, str]) -> str:
    """Put values into their places; braces elsewhere mean nothing."""
    first, *others = template.split("{")
    filled = [first]
    for part in others:
        name, _, after = part.partition("}")
        filled.append(values[name] + after)
    return "".join(filled)


def _asset(name: str) -> str:
    return (files("fujimi_sim") / "page" / name).read_text(encoding="utf-8")


def _row(point: Point) -> str:
    return "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in summary.row(point)) + "</tr>"


def _tiles(point: Point, machine: Machine) -> list[str]:
    """Figures of the most nodes, large."""
    has, needs = machine.node.device.memory_bytes, point.memory_bytes_per_rank
    fits: list[tuple[str, str, str, str]] = []
    if needs:
        word = "fits" if needs <= has else "does not fit"
        fits = [("memory of a rank", f"{needs / has:.0%}", f"of {format_memory(has)}: {word}", "bad" * (needs > has))]
    tiles: list[tuple[str, str, str, str]] = [
        (
            "largest size",
            f"{point.nodes:,}",
            f"{'node' if point.nodes == 1 else 'nodes'}, {count_of(point.ranks, 'rank')}",
            "",
        ),
        ("step", format_quantity(point.step_s, "s"), f"{point.compute_s / point.step_s:.0%} of it compute", ""),
        ("throughput", summary.rate(point.samples_per_s), "samples/s", ""),
        ("parallel efficiency", f"{point.parallel_efficiency:.1%}", "", ""),
        ("arithmetic", format_quantity(point.flops_per_s, "FLOP/s"), f"{point.fraction_of_peak:.1%} of the peak", ""),
        *fits,
    ]
    return [
        f'<div class="{kind}"><dt>{html.escape(name)}</dt>'
        f"<dd>{html.escape(value)}<small>{html.escape(more)}</small></dd></div>"
        for name, value, more, kind in tiles
    ]
