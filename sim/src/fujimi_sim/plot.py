"""Pictures of a report: PNG, SVG, one HTML page, or its numbers as JSON."""

import html
import io
import json
from collections.abc import Callable
from pathlib import Path

from fujimi_core.errors import FujimiError, unknown
from fujimi_core.machine import Machine
from fujimi_core.records import to_table
from fujimi_core.units import format_quantity
from matplotlib.figure import Figure

from fujimi_sim.simulation import Point, Report

_SHARES: list[tuple[str, str, Callable[[Point], float]]] = [
    ("compute", "#2a6f97", lambda point: point.compute_s),
    ("exposed communication", "#e07a5f", lambda point: point.exposed_communication_s),
    ("idle: waits for slower ranks", "#c9c9c9", lambda point: point.idle_s),
]


def require_known_kind(path: Path) -> None:
    """Refuse a file whose name does not say what to draw, before anything is simulated.

    Raises:
        FujimiError: If the ending is unknown, or the directory does not exist.
    """
    if path.suffix.lower() not in _WRITERS:
        raise FujimiError(f"--plot {path}: {unknown('kind of file', path.suffix, _WRITERS)}")
    if not path.parent.is_dir():
        raise FujimiError(f"--plot {path}: there is no directory {path.parent}")


def draw(report: Report, machine: Machine, path: Path) -> None:
    """Write a report in the kind that the file's ending says.

    Raises:
        FujimiError: If the file cannot be written.
    """
    try:
        path.write_bytes(_WRITERS[path.suffix.lower()](report, machine))
    except OSError as wrong:
        raise FujimiError(f"cannot write {path}: {wrong}") from None


def figure(report: Report, machine: Machine) -> Figure:
    """Scaling curve above, shares of the step below."""
    picture = Figure(figsize=(8, 7), layout="constrained")
    curve, shares = picture.subplots(2, 1, height_ratios=[3, 2])
    points = sorted(report.points, key=lambda point: point.nodes)
    nodes = [point.nodes for point in points]
    ideal = [points[0].samples_per_s / points[0].nodes * count for count in nodes]
    curve.loglog(nodes, ideal, color="#9a9a9a", linestyle="--", label=f"linear from {points[0].nodes:,} node(s)")
    curve.loglog(nodes, [point.samples_per_s for point in points], color="#2a6f97", marker="o", label="simulated")
    for point in points:
        label = f"{point.parallel_efficiency:.0%}"
        curve.annotate(label, (point.nodes, point.samples_per_s), textcoords="offset points", xytext=(6, -14))
    curve.set(title=f"{report.job} on {machine.title}", xlabel="nodes", ylabel="samples/s")
    curve.legend(loc="upper left", frameon=False)
    curve.grid(alpha=0.3)
    bottom = [0.0] * len(points)
    labels = [f"{count:,}" for count in nodes]
    for name, colour, part in _SHARES:
        heights = [100 * part(point) / point.step_s for point in points]
        shares.bar(labels, heights, bottom=bottom, color=colour, label=name, width=0.6)
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    for index, point in enumerate(points):
        shares.text(index, 101, format_quantity(point.step_s, "s"), ha="center", va="bottom", fontsize=8)
    shares.set(xlabel="nodes", ylabel="share of the step [%]", ylim=(0, 112))
    shares.legend(loc="lower center", bbox_to_anchor=(0.5, -0.5), ncols=3, frameon=False)
    for axes in (curve, shares):
        axes.spines[["top", "right"]].set_visible(False)
    return picture


def _image(report: Report, machine: Machine, kind: str) -> bytes:
    # a date and random identifiers would make two pictures of the same report different
    metadata: dict[str, str | None] = {"Date": None} if kind == "svg" else {}
    import matplotlib as mpl

    file = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "fujimi"}):
        figure(report, machine).savefig(file, format=kind, dpi=130, metadata=metadata)
    return file.getvalue()


def _json(report: Report, machine: Machine) -> bytes:
    return (json.dumps(to_table(report), indent=2) + "\n").encode()


def _page(report: Report, machine: Machine) -> bytes:
    title = html.escape(f"{report.job} on {machine.title}")
    svg = _image(report, machine, "svg").decode()
    svg = svg[svg.index("<svg") :]
    columns = list(to_table(report.points[0]))
    head = "".join(f"<th>{column}</th>" for column in columns)
    rows = "".join(
        "<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in to_table(point).values()) + "</tr>"
        for point in report.points
    )
    data = json.dumps(to_table(report)).replace("</", "<\\/")
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #222; }}
svg {{ max-width: 100%; height: auto; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: 0.8rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: 0.3rem 0.6rem; text-align: right; border-bottom: 1px solid #ddd; }}
</style></head><body>
<h1>{title}</h1>
{svg}
<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>
<p>A prediction. Simulated in {report.simulation.cpu_s:.1f} CPU seconds.</p>
<script type="application/json" id="report">{data}</script>
</body></html>
""".encode()


def _cell(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


_WRITERS: dict[str, Callable[[Report, Machine], bytes]] = {
    ".png": lambda report, machine: _image(report, machine, "png"),
    ".svg": lambda report, machine: _image(report, machine, "svg"),
    ".html": _page,
    ".json": _json,
}
