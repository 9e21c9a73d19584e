"""Pictures: written in every kind, the same for the same report, safe, and legible."""

import itertools
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fujimi_core.errors import FujimiError, RunError
from fujimi_core.machine import Machine
from fujimi_core.records import build
from fujimi_sim.plot import draw, figure, require_drawable
from fujimi_sim.simulation import Cost, Point, Report
from matplotlib.text import Text
from matplotlib.transforms import Bbox

KINDS = [".png", ".svg", ".json"]


def point(nodes: int, efficiency: float) -> Point:
    step_s = 1.5 / efficiency
    return Point(
        nodes=nodes,
        ranks=nodes,
        step_s=step_s,
        compute_s=1.5,
        communication_s=step_s,
        exposed_communication_s=(step_s - 1.5) * 0.75,
        idle_s=(step_s - 1.5) * 0.25,
        samples_per_s=64 * nodes / step_s,
        flops_per_s=1e12,
        fraction_of_peak=0.5,
        parallel_efficiency=efficiency,
        memory_bytes_per_rank=10**9,
        memory_fits=True,
        breakdown=(),
    )


def report(*points: tuple[int, float], job: str = "tiny") -> Report:
    return Report(
        machine="toy",
        job=job,
        points=tuple(itertools.starmap(point, points)),
        simulation=Cost(cpu_s=8.5, peak_rss_bytes=350 * 10**6),
    )


TWO = report((1, 1.0), (64, 0.9))


def read(text: str | bytes) -> Report:
    return build(Report, json.loads(text), where="picture", error=FujimiError)


def test_content_is_what_the_ending_says(machine: Machine, tmp_path: Path) -> None:
    written = {}
    for kind in KINDS:
        draw(TWO, machine, tmp_path / f"curve{kind}")
        written[kind] = (tmp_path / f"curve{kind}").read_bytes()
    assert written[".png"].startswith(b"\x89PNG\r\n")
    assert b"<svg" in written[".svg"]
    assert read(written[".json"]) == TWO


@pytest.mark.parametrize("kind", [*KINDS, ".PNG"])
def test_same_report_gives_the_same_bytes(machine: Machine, tmp_path: Path, kind: str) -> None:
    one, other = tmp_path / f"one{kind}", tmp_path / f"other{kind}"
    draw(TWO, machine, one)
    draw(TWO, machine, other)
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("kind", [".png", ".svg"])
def test_name_of_a_job_is_no_formula(machine: Machine, tmp_path: Path, kind: str) -> None:
    draw(report((1, 1.0), job="$a_$ ^ $\\frac$"), machine, tmp_path / f"curve{kind}")


CURVES = [
    ((1, 1.0),),
    ((64, 0.03),),
    ((1, 1.0), (2, 1.0)),
    ((1, 1.0), (158_976, 0.03)),
    ((1, 1.0), (158_976, 0.999)),
    ((1, 1.0), (64, 0.98), (1_024, 0.91), (16_384, 0.55), (158_976, 0.03)),
    ((1, 1.0), (64, 0.98), (1_024, 0.97), (16_384, 0.965), (158_976, 0.96)),
    ((64, 0.97), (96, 0.9), (128, 0.85), (192, 0.7), (256, 0.6)),
    ((1, 1.0), (4, 0.3), (16, 0.05), (64, 0.03)),
    tuple((nodes, 1 / (1 + nodes / 30)) for nodes in (1, 2, 3, 4, 6, 8, 9, 10, 12, 16, 64, 65)),
]


@pytest.mark.parametrize("points", CURVES)
def test_labels_touch_neither_each_other_nor_the_axes(points: tuple[tuple[int, float], ...]) -> None:
    picture = figure(report(*points), title="vit_base on\nFugaku")
    picture.draw_without_rendering()
    for axes in picture.axes:
        legend = axes.get_legend()
        assert legend is not None
        inside = [text for text in axes.texts if text.get_text()]
        ticks = [tick for tick in (*axes.get_xticklabels(), *axes.get_yticklabels()) if visible(tick, axes.bbox)]
        names = [axes.xaxis.label, axes.yaxis.label, axes.title]
        texts = [*inside, *ticks, *(name for name in names if name.get_text())]
        boxes = [text.get_window_extent() for text in texts] + [legend.get_window_extent()]
        for (a, one), (b, other) in itertools.combinations(enumerate(boxes), 2):
            assert not one.overlaps(other), (a, b, [text.get_text() for text in texts])
        for text in inside:
            box = text.get_window_extent()
            assert box.ymin > axes.bbox.ymin, text.get_text()
            assert box.xmin > axes.bbox.xmin, text.get_text()
            assert box.xmax < picture.bbox.xmax, text.get_text()


def visible(tick: Text, axes: Bbox) -> bool:
    """Whether a tick's label is drawn: it has a text and its tick lies on the axis."""
    x, y = tick.get_transform().transform(tick.get_position())
    return bool(tick.get_text()) and axes.x0 - 9 <= x <= axes.x1 + 1 and axes.y0 - 9 <= y <= axes.y1 + 1


@pytest.mark.parametrize("points", CURVES)
def test_labels_stand_clear_of_the_curve(points: tuple[tuple[int, float], ...]) -> None:
    picture = figure(report(*points))
    picture.draw_without_rendering()
    curve = picture.axes[0]
    path = curve.lines[-1].get_path().transformed(curve.transData)
    for text in curve.texts:
        assert not path.intersects_bbox(text.get_window_extent(), filled=False), text.get_text()


def labels(picture_of: Report) -> list[str]:
    return [text.get_text() for text in figure(picture_of).axes[0].texts]


def test_curve_is_labelled_with_its_efficiency_from_the_smallest_size_on() -> None:
    assert labels(report((64, 0.9), (1, 1.0), (4_096, 0.034))) == ["100%", "90%", "3%"]


def test_linear_scaling_is_drawn_from_the_smallest_size() -> None:
    for nodes, words in ((1, "linear from 1 node"), (64, "linear from 64 nodes")):
        curve = figure(report((nodes, 0.8), (64 * nodes, 0.4))).axes[0]
        linear, predicted = curve.lines
        assert linear.get_label() == words
        ideal, rates = np.asarray(linear.get_ydata(), float), np.asarray(predicted.get_ydata(), float)
        assert ideal[0] == rates[0]
        assert (ideal[1] / ideal[0], rates[1] / rates[0]) == (pytest.approx(64), pytest.approx(32))


def test_single_size_has_nothing_to_be_linear_to() -> None:
    assert len(figure(report((1, 1.0))).axes[0].lines) == 1


def test_shares_of_each_size_stand_on_each_other_and_make_100_percent() -> None:
    bars = figure(report((1, 1.0), (64, 0.5))).axes[1].patches
    tops = {round(bar.get_x() + bar.get_width() / 2): bar.get_y() + bar.get_height() for bar in bars}  # type: ignore[attr-defined]
    assert tops == {0: pytest.approx(100), 1: pytest.approx(100)}
    compute = [bar.get_height() for bar in bars][:2]  # type: ignore[attr-defined]
    assert compute == [pytest.approx(100), pytest.approx(50)]


def test_disk_that_fails_while_drawing_is_told(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot write .*gone/curve\.json: .*No such file"):
        draw(TWO, machine, tmp_path / "gone" / "curve.json")


def test_file_that_exists_is_replaced(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "curve.json"
    path.write_text("old")
    require_drawable(path)
    draw(TWO, machine, path)
    assert json.loads(path.read_text())["job"] == "tiny"


def test_unknown_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FujimiError, match=r"Unknown kind of file: '\.pgn'\. Known: .*Did you mean '\.png'\?"):
        require_drawable(tmp_path / "curve.pgn")


def test_report_with_other_figures_gives_another_picture(machine: Machine, tmp_path: Path) -> None:
    other = replace(TWO, points=(TWO.points[0], point(64, 0.5)))
    for name, drawn in (("one", TWO), ("other", other)):
        draw(drawn, machine, tmp_path / f"{name}.svg")
    assert (tmp_path / "one.svg").read_bytes() != (tmp_path / "other.svg").read_bytes()
