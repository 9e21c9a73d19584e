"""Pictures of a report: PNG, SVG, or its numbers as JSON."""

import io
import json
import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import matplotlib as mpl
from fujimi_core.machine import Machine
from fujimi_core.records import to_table
from fujimi_core.units import count_of, format_quantity
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, NullLocator

from fujimi_sim.output_files import require_writable, write
from fujimi_sim.simulation import Point, Report

_BLUE, _ORANGE, _GREY, _INK = "#2a6f97", "#e07a5f", "#c9c9c9", "#444444"
_SHARES: list[tuple[str, str, Callable[[Point], float]]] = [
    ("compute", _BLUE, lambda point: point.compute_s),
    ("exposed communication", _ORANGE, lambda point: point.exposed_communication_s),
    ("idle: waits for other ranks", _GREY, lambda point: point.idle_s),
]
#: So many labels have room beside each other along an axis.
_LABELS = 12


def require_drawable(path: Path, kinds: Collection[str] | None = None) -> None:
    """Refuse a file that could not be drawn, before anything is simulated.

    Args:
        path: The file.
        kinds: Endings that it may have; those of a report if None.

    Raises:
        FujimiError: If its ending is unknown, or it cannot be written.
    """
    require_writable("--plot", path, kinds=_WRITERS if kinds is None else kinds)


def draw(report: Report, machine: Machine, path: Path) -> None:
    """Write a report in the kind that the file's ending says.

    Raises:
        RunError: If the file cannot be written.
    """
    write(_WRITERS[path.suffix.lower()](report, machine), path)


def figure(report: Report, *, title: str = "") -> Figure:
    """Scaling curve above, shares of the step below."""
    picture = Figure(figsize=(8, 7), layout="constrained")
    curve, shares = picture.subplots(2, 1, height_ratios=[3, 2])
    points = sorted(report.points, key=lambda point: point.nodes)
    _draw_curve(curve, points)
    _draw_shares(shares, points)
    for axes in (curve, shares):
        axes.spines[["top", "right"]].set_visible(False)
    if title:
        # a job may have a dollar in its name, which would begin a formula
        curve.set_title(title, fontsize=13, pad=12, parse_math=False)
    return picture


def _draw_curve(axes: Axes, points: Sequence[Point]) -> None:
    nodes = [point.nodes for point in points]
    rates = [point.samples_per_s for point in points]
    first = points[0]
    if len(points) > 1:
        ideal = [first.samples_per_s * count / first.nodes for count in nodes]
        label = f"linear from {count_of(first.nodes, 'node')}"
        axes.plot(nodes, ideal, color="#9a9a9a", linestyle="--", label=label, zorder=1)
    axes.plot(nodes, rates, color=_BLUE, marker="o", linewidth=2, label="predicted, with parallel efficiency")
    axes.set(xscale="log", yscale="log", xlabel="nodes", ylabel="samples/s")
    axes.margins(x=0.09, y=0.2)
    labelled = _apart(nodes)
    axes.set_xticks(nodes, [f"{count:,}" if count in labelled else "" for count in nodes])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(EngFormatter(sep=""))
    axes.grid(alpha=0.25)
    for point, following in zip(points, [*points[1:], None], strict=True):
        if point.nodes in labelled:
            # the curve goes on to the upper right, where a label below does not meet it, or falls
            falls = following is not None and following.samples_per_s < point.samples_per_s
            axes.annotate(
                f"{point.parallel_efficiency:.0%}",
                (point.nodes, point.samples_per_s),
                textcoords="offset points",
                xytext=(0, -13) if falls else (7, -7),
                ha="center" if falls else "left",
                va="top",
                color=_INK,
            )
    axes.legend(loc="upper left", frameon=False)


def _draw_shares(axes: Axes, points: Sequence[Point]) -> None:
    places = range(len(points))
    bottom = [0.0] * len(points)
    for name, colour, part in _SHARES:
        heights = [100 * part(point) / point.step_s for point in points]
        axes.bar(places, heights, bottom=bottom, color=colour, label=name, width=0.6)
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    for place, point in zip(places, points, strict=True):
        axes.text(place, 101, format_quantity(point.step_s, "s"), ha="center", va="bottom", fontsize=9, color=_INK)
    middle, width = (len(points) - 1) / 2, max(len(points), 4) + 0.2
    axes.set(xlabel="nodes", ylabel="share of the step [%]", ylim=(0, 112))
    axes.set_xlim(middle - width / 2, middle + width / 2)
    axes.set_xticks(places, [f"{point.nodes:,}" for point in points])
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.22), ncols=3, frameon=False)


def _apart(nodes: Sequence[int]) -> list[int]:
    """Sizes whose labels do not touch on a logarithmic axis: those far enough from the one before.

    >>> _apart([1, 64, 65, 4_096])
    [1, 64, 4096]

    Args:
        nodes: In rising order.
    """
    least = math.log(nodes[-1] / nodes[0]) / _LABELS
    apart = [nodes[0]]
    for count in nodes[1:]:
        if math.log(count / apart[-1]) >= least:
            apart.append(count)
    return apart


def image(picture: Figure, kind: str) -> bytes:
    """Content of a file of this kind, png or svg; the same whenever the picture is."""
    # a date, a version and random identifiers would make two pictures of the same report different
    metadata = {"svg": dict.fromkeys(["Creator", "Date", "Format", "Type"]), "png": {"Software": None}}[kind]
    file = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "fujimi"}):
        picture.savefig(file, format=kind, dpi=130, metadata=metadata)
    return file.getvalue()


def _json(report: Report, _machine: Machine) -> bytes:
    return (json.dumps(to_table(report), indent=2) + "\n").encode()


_WRITERS: dict[str, Callable[[Report, Machine], bytes]] = {
    ".png": lambda report, machine: image(figure(report, title=f"{report.job}\n{machine.title}"), "png"),
    ".svg": lambda report, machine: image(figure(report, title=f"{report.job}\n{machine.title}"), "svg"),
    ".json": _json,
}
