"""Picture of where a collective keeps the network busy: PNG, SVG, or its numbers as JSON."""

import json
import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fujimi_core.machine import Machine
from fujimi_core.units import count_of, format_quantity
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure, FigureBase
from matplotlib.ticker import EngFormatter, MaxNLocator

from fujimi_sim.network.bench import Timed
from fujimi_sim.network.heat import Busy, Heat
from fujimi_sim.output_files import write
from fujimi_sim.plot import image, require_drawable

KINDS = (".json", ".png", ".svg")
_MEAN, _MAX, _INK, _NO_LINK = "#9fb8c8", "#2a6f97", "#444444", "#dddddd"
#: Readable with any kind of colour vision, and in grey.
_COLOURS = "cividis"


def require_heat_drawable(path: Path) -> None:
    """Refuse a file that could not be drawn, before anything is routed.

    Raises:
        FujimiError: If its ending is unknown, or it cannot be written.
    """
    require_drawable(path, KINDS)


def draw_heat(shown: Heat, ran: Timed, machine: Machine, path: Path) -> None:
    """Write a picture in the kind that the file's ending says.

    Args:
        shown: Loads of links and interfaces.
        ran: The collective that loads them.
        machine: Where it ran.
        path: The file.

    Raises:
        RunError: If the file cannot be written.
    """
    kind = path.suffix.lower()
    if kind == ".json":
        content = (json.dumps(numbers(shown, ran, machine), indent=2) + "\n").encode()
    else:
        content = image(heat_figure(shown, ran, machine), kind.removeprefix("."))
    write(content, path)


def numbers(shown: Heat, ran: Timed, machine: Machine) -> dict[str, Any]:
    """What is drawn, as plain data; places without a link are None."""
    return {
        "machine": machine.name,
        "collective": ran.collective,
        "algorithm": ran.algorithm,
        "nodes": ran.nodes,
        "ranks": ran.ranks,
        "nbytes": ran.nbytes,
        "seconds": ran.seconds,
        "bottleneck": ran.bottleneck,
        "plane": [shown.axes[axis].name for axis in shown.plane],
        "links": [_kind(each) | (_plane(shown, each) if shown.axes else {}) for each in shown.links],
        "interfaces": [_kind(each) for each in shown.nodes],
    }


def heat_figure(shown: Heat, ran: Timed, machine: Machine) -> Figure:
    """Links over the plane of the two longest axes, one image an axis and direction, above mean and most of each kind.

    Where the network is no grid there are the bars alone.
    """
    columns = math.ceil(len(shown.links) / 2) if shown.axes else 0
    width = max(8.0, 1.9 * columns + 1.4)
    picture = Figure(figsize=(width, 8.2 if columns else 4.6), layout="constrained")
    below: FigureBase = picture
    if columns:
        (above,), (below,) = picture.subfigures(2, 1, squeeze=False, height_ratios=[3.4, 2.6])
        _draw_planes(above, shown, columns)
    kinds = [*shown.links, *shown.nodes]
    mean = "mean (of links: those in use)" if shown.links and not shown.axes else "mean"
    turned = max((len(each.name) for each in kinds), default=0) * len(kinds) > 11.5 * width
    _draw_bars(below.subplots(), kinds, ran.seconds, mean=mean, turned=turned)
    # a machine may have a dollar in its name, which would begin a formula
    picture.suptitle(_title(ran, machine, width), fontsize=12, parse_math=False)
    return picture


def _title(ran: Timed, machine: Machine, width: float) -> str:
    size = f" of {format_quantity(ran.nbytes, 'B')}" if ran.nbytes else ""
    what = f"{ran.collective}{size} on {count_of(ran.nodes, 'node')} of {machine.name}"
    if ran.ranks != ran.nodes:
        what += f", {count_of(ran.ranks, 'rank')}"
    how = f"{ran.algorithm}: {format_quantity(ran.seconds, 's')}, {ran.bottleneck_share:.0%} of it {ran.bottleneck}"
    return "\n".join(line for text in (what, how) for line in textwrap.wrap(text, int(10 * width)))


def _draw_planes(picture: FigureBase, shown: Heat, columns: int) -> None:
    busiest_s = max((each.max_s for each in shown.links), default=0.0)
    scale = Normalize(0, busiest_s or 1.0)
    colours = colormaps[_COLOURS].with_extremes(bad=_NO_LINK)
    grid = picture.subplots(2, columns, squeeze=False, sharex=True, sharey=True)
    names = [shown.axes[axis].name for axis in shown.plane]
    for axes in grid.flat:
        axes.set_visible(False)
    for position, each in enumerate(shown.links):
        row, column = position % 2, position // 2
        axes = grid[row, column]
        axes.set_visible(True)
        plane = np.ma.masked_invalid(shown.projected(each))
        axes.imshow(plane, cmap=colours, norm=scale, aspect="auto", origin="lower", interpolation="nearest")
        axes.set_title(each.name, fontsize=11, parse_math=False)
        _name_sides(axes, names, plane.shape, bottom=row == 1, left=column == 0)
    bar = picture.colorbar(ScalarMappable(scale, colours), ax=grid, format=EngFormatter("s"), pad=0.02, fraction=0.05)
    others = " (most over the other axes)" if len(shown.axes) > 2 else ""
    bar.set_label(f"a link is busy{others}")
    bar.outline.set_visible(False)


def _name_sides(axes: Axes, names: Sequence[str], shape: tuple[int, ...], *, bottom: bool, left: bool) -> None:
    """Name the axes of the plane at its outer sides only."""
    axes.tick_params(length=2, labelsize=8, labelbottom=bottom, labelleft=left)
    axes.spines[:].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    if len(names) == 1:
        axes.set_yticks([])
    if bottom:
        axes.set_xlabel(names[-1], parse_math=False)
    if left and len(names) > 1:
        axes.set_ylabel(names[0], parse_math=False)
    if shape[-1] == 1:
        axes.set_xticks([0])


def _draw_bars(axes: Axes, kinds: Sequence[Busy], seconds: float, *, mean: str, turned: bool) -> None:
    places = np.arange(len(kinds))
    means, most = ([100 * value(each) / seconds for each in kinds] for value in (_mean_of, _most_of))
    axes.bar(places - 0.2, means, width=0.4, color=_MEAN, label=mean)
    axes.bar(places + 0.2, most, width=0.4, color=_MAX, label="busiest")
    for place, percent in zip(places, most, strict=True):
        axes.text(place + 0.2, percent, _percent(percent), ha="center", va="bottom", fontsize=8, color=_INK)
    axes.set_ylabel(f"busy [% of {format_quantity(seconds, 's')}]")
    axes.set_ylim(0, 1.15 * max(most, default=1.0) or 1.0)
    axes.set_xlim(-0.7, len(kinds) - 0.3)
    names = [each.name for each in kinds]
    axes.set_xticks(places, names, rotation=30 if turned else 0, ha="right" if turned else "center")
    for label in axes.get_xticklabels():
        label.set_parse_math(False)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, ncols=2, loc="lower right", bbox_to_anchor=(1.0, 1.0))


def _mean_of(busy: Busy) -> float:
    return busy.mean_s


def _most_of(busy: Busy) -> float:
    return busy.max_s


def _percent(percent: float) -> str:
    """Write a share with at least one digit that is not 0.

    >>> _percent(61.7), _percent(0.031), _percent(0)
    ('62', '0.03', '0')
    """
    return f"{percent:.0f}" if percent >= 9.5 or percent == 0 else f"{percent:.1g}"


def _kind(busy: Busy) -> dict[str, Any]:
    return {"name": busy.name, "mean_s": busy.mean_s, "max_s": busy.max_s}


def _plane(shown: Heat, busy: Busy) -> dict[str, Any]:
    rows = shown.projected(busy).tolist()
    return {"seconds": [[None if math.isnan(value) else value for value in row] for row in rows]}
