"""Pictures of link loads: written in every kind, the same for the same loads, and legible."""

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fujimi_core.errors import FujimiError
from fujimi_core.machine import Machine, NetworkAxis
from fujimi_sim.heat_plot import KINDS, draw_heat, heat_figure, numbers, require_heat_drawable
from fujimi_sim.network.bench import Timed
from fujimi_sim.network.heat import Busy, Heat
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

RAN = Timed(
    collective="all_reduce",
    nodes=64,
    ranks=256,
    nbytes=10**9,
    algorithm="multiport_bucket",
    chosen=True,
    seconds=0.1,
    algorithm_bandwidth_bytes_per_s=1e10,
    bus_bandwidth_bytes_per_s=2e10,
    limit_bandwidth_bytes_per_s=3e10,
    bottleneck="link +x",
    bottleneck_share=0.62,
)


def grid(*extents: int, most_s: float = 0.062, names: str = "XYZabc") -> Heat:
    """Random loads of a torus; the last link of each line on the last axis is missing."""
    random = np.random.default_rng(0)
    axes = tuple(NetworkAxis(name=names[at], extent=extent, wrap=True) for at, extent in enumerate(extents))
    links = [Busy(name=f"{s}{axis.name}", seconds=most_s * random.random(extents)) for axis in axes for s in "+-"]
    links[-1].seconds[..., -1] = np.nan
    nodes = [Busy(name=name, seconds=most_s * random.random(9)) for name in ("interface", "injection", "ejection")]
    return Heat(links=tuple(links), nodes=tuple(nodes), axes=axes)


def switches() -> Heat:
    """Loads of a network that is no grid."""
    links = tuple(
        Busy(name=f"{way} level {level}", seconds=np.linspace(0, 0.06, 12))
        for level in (1, 2)
        for way in ("up", "down")
    )
    return Heat(links=links, nodes=grid(2).nodes, axes=())


HEATS = {
    "tofu": grid(24, 23, 24, 2, 3, 2),
    "torus": grid(4, 3, 5),
    "plane": grid(2, 128),
    "ring": grid(8),
    "switches": switches(),
    "idle": grid(4, 4, most_s=0.0),
    "latency": grid(4, 4, most_s=3e-7),
    "interfaces": Heat(links=(), nodes=grid(2).nodes, axes=()),
}


Drawn = Callable[[str], Figure]


@pytest.fixture
def drawn(machine: Machine) -> Drawn:
    return lambda name: heat_figure(HEATS[name], RAN, machine)


@pytest.mark.parametrize("kind", [*KINDS, ".PNG"])
def test_same_loads_give_the_same_bytes_of_the_kind_that_the_ending_says(
    machine: Machine, tmp_path: Path, kind: str
) -> None:
    for name in ("one", "other"):
        draw_heat(HEATS["torus"], RAN, machine, tmp_path / f"{name}{kind}")
    content = (tmp_path / f"one{kind}").read_bytes()
    assert content == (tmp_path / f"other{kind}").read_bytes()
    assert {".png": b"\x89PNG", ".svg": b"<svg", ".json": b'"plane"'}[kind.lower()] in content


def test_other_loads_give_another_picture(machine: Machine, tmp_path: Path) -> None:
    draw_heat(HEATS["torus"], RAN, machine, tmp_path / "one.svg")
    draw_heat(HEATS["plane"], RAN, machine, tmp_path / "other.svg")
    assert (tmp_path / "one.svg").read_bytes() != (tmp_path / "other.svg").read_bytes()


def test_title_says_what_ran_how_long_and_where_it_hurts(machine: Machine, drawn: Drawn) -> None:
    title = drawn("torus").get_suptitle()
    assert title.splitlines() == [
        "all_reduce of 1 GB on 64 nodes of toy, 256 ranks",
        "multiport_bucket: 100 ms, 62% of it link +x",
    ]
    barrier = replace(RAN, collective="barrier", nbytes=0, ranks=64)
    title = heat_figure(HEATS["torus"], barrier, machine).get_suptitle()
    assert title.startswith("barrier on 64 nodes of toy\n")


def test_there_is_an_image_for_each_axis_and_direction_on_one_scale(drawn: Drawn) -> None:
    panels = [axes for axes in drawn("tofu").axes if axes.images]
    assert [axes.get_title() for axes in panels] == [f"{sign}{name}" for sign in "+-" for name in "XYZabc"]
    assert {axes.images[0].get_clim() for axes in panels} == {(0.0, max(each.max_s for each in HEATS["tofu"].links))}
    for axes in panels:
        image = axes.images[0].get_array()
        assert image is not None
        assert image.shape == (24, 24)


def test_image_shows_the_busiest_link_of_each_place_and_where_there_is_none(drawn: Drawn) -> None:
    heat = HEATS["torus"]
    panels = {axes.get_title(): axes for axes in drawn("torus").axes if axes.images}
    image = panels["+X"].images[0].get_array()
    assert image is not None
    np.testing.assert_allclose(image, heat.links[0].seconds.max(axis=1))
    missing = panels["-Z"].images[0].get_array()
    assert missing is not None
    assert np.ma.getmaskarray(missing)[:, -1].all()


def test_network_that_is_no_grid_has_bars_alone(drawn: Drawn) -> None:
    (bars,) = drawn("switches").axes
    assert not bars.images
    names = [label.get_text() for label in bars.get_xticklabels()]
    assert names == ["up level 1", "down level 1", "up level 2", "down level 2", "interface", "injection", "ejection"]


def test_bars_are_mean_and_most_of_each_kind_in_percent_of_the_time(drawn: Drawn) -> None:
    (bars,) = drawn("switches").axes
    means, most = bars.containers
    heights = [[bar.get_height() for bar in container.patches] for container in (means, most)]  # type: ignore[attr-defined]
    assert heights[0][0] == pytest.approx(100 * 0.03 / 0.1)
    assert heights[1][0] == pytest.approx(100 * 0.06 / 0.1)


@pytest.mark.parametrize("name", HEATS)
def test_labels_do_not_touch_and_stay_inside(drawn: Drawn, name: str) -> None:
    picture = drawn(name)
    picture.draw_without_rendering()
    # a rotated label's box is larger than its letters, so turned ones are left to the eye
    texts = [text for text in visible(picture) if text[1].width and not text[2]]
    for (one, box, _), (other, box_of_other, _) in itertools.combinations(texts, 2):
        assert not box.overlaps(box_of_other), (one, other)
    for text, box, _ in texts:
        assert picture.bbox.x0 <= box.x0, text
        assert box.x1 <= picture.bbox.x1, text
        assert box.y1 <= picture.bbox.y1, text


def visible(picture: Figure) -> Sequence[tuple[str, Bbox, float]]:
    """Text, box and rotation of what is written in a picture."""
    found = [*picture.texts]
    for axes in picture.axes:
        if not axes.get_visible():
            continue
        limits = (axes.xaxis, sorted(axes.get_xlim())), (axes.yaxis, sorted(axes.get_ylim()))
        ticks = [
            tick.label1
            for axis, (low, high) in limits
            for tick in axis.get_major_ticks()
            if low <= tick.get_loc() <= high and tick.label1.get_visible()
        ]
        right = [tick.label2 for tick in axes.yaxis.get_major_ticks() if tick.label2.get_visible()]
        legend = axes.get_legend()
        names = [axes.xaxis.label, axes.yaxis.label, axes.title, *axes.texts]
        found += [*ticks, *right, *names, *(legend.get_texts() if legend else [])]
    return [
        (each.get_text(), each.get_window_extent(), each.get_rotation() % 90)
        for each in found
        if each.get_text().strip()
    ]


def test_numbers_are_those_of_the_picture(machine: Machine) -> None:
    heat = HEATS["torus"]
    data = json.loads(json.dumps(numbers(heat, RAN, machine)))
    assert (data["machine"], data["algorithm"], data["nbytes"], data["plane"]) == (
        "toy",
        RAN.algorithm,
        10**9,
        ["X", "Z"],
    )
    first, last = data["links"][0], data["links"][-1]
    assert first["name"] == "+X"
    assert first["max_s"] == pytest.approx(heat.links[0].seconds.max())
    assert np.shape(first["seconds"]) == (4, 5)
    assert [row[-1] for row in last["seconds"]] == [None] * 4
    assert [each["name"] for each in data["interfaces"]] == ["interface", "injection", "ejection"]
    assert "seconds" not in numbers(switches(), RAN, machine)["links"][0]


@pytest.mark.parametrize("kind", [".png", ".svg"])
def test_names_are_no_formulas(machine: Machine, tmp_path: Path, kind: str) -> None:
    machine = replace(machine, name="$a_$ ^ $\\frac$")
    heat = grid(3, 4, names="$_")
    named = tuple(replace(each, name=f"{each.name} $\\frac$") for each in heat.links)
    draw_heat(replace(heat, links=named), RAN, machine, tmp_path / f"heat{kind}")


@pytest.mark.parametrize("name", ["heat.html", "heat", "nowhere/heat.png"])
def test_file_that_cannot_be_drawn_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(FujimiError, match=r"--plot .*(Known: \.json, \.png, \.svg|there is no directory)"):
        require_heat_drawable(tmp_path / name)
