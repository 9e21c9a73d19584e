"""The page of a report in a browser: drawn without complaint, at any width, with all of its data."""

import csv
import io
import itertools
from dataclasses import replace

import pytest
from fujimi_core.machine import Machine
from fujimi_core.workload import Stream
from fujimi_sim.page_file import page
from fujimi_sim.timeline import Slice, What
from playwright.sync_api import Page

from .conftest import REPORT, Open, timeline

CHARTS = ["step-time", "efficiency", "breakdown", "memory", "runs", "timeline", "network"]
BOXES = """() => [...document.querySelectorAll("svg")].map((svg) => {
  const box = svg.getBBox(), place = svg.getBoundingClientRect();
  return [box.width, box.height, place.width, place.height];
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_every_chart_is_drawn_and_nothing_is_wider_than_the_page(
    show: Open, whole: bytes, width: int, scheme: str
) -> None:
    shown = show(whole, width=width, scheme=scheme)
    assert shown.eval_on_selector_all("#charts section", "all => all.map((each) => each.id)") == CHARTS
    for chart in CHARTS:
        assert shown.locator(f"#{chart} svg").count() >= 1
    boxes = shown.evaluate(BOXES)
    assert all(min(box) > 0 for box in boxes)
    assert shown.evaluate("document.documentElement.scrollWidth") == width
    # texts lie inside their pictures
    outside = shown.evaluate(
        """() => [...document.querySelectorAll("svg text")].filter((text) => {
          const box = text.getBoundingClientRect(), svg = text.ownerSVGElement.getBoundingClientRect();
          return box.left < svg.left - 1 || box.right > svg.right + 1 || box.bottom > svg.bottom + 2;
        }).map((text) => text.textContent)"""
    )
    assert outside == []


def test_page_is_drawn_anew_when_its_width_changes(show: Open, whole: bytes) -> None:
    shown = show(whole, width=1280)
    before = shown.locator("#timeline svg").get_attribute("width")
    shown.set_viewport_size({"width": 400, "height": 900})
    shown.wait_for_function(
        "before => document.querySelector('#timeline svg').getAttribute('width') !== before", arg=before
    )
    assert shown.evaluate("document.documentElement.scrollWidth") == 400


def test_single_size_of_which_little_is_known_has_a_page(show: Open, bare: bytes) -> None:
    shown = show(bare, width=400)
    ids = shown.eval_on_selector_all("#charts section", "all => all.map((each) => each.id)")
    assert ids == ["step-time", "efficiency", "breakdown"]
    assert "memory: the workload does not tell" in shown.locator("header p").inner_text()


def downloaded(shown: Page, chart: str) -> list[list[str]]:
    with shown.expect_download() as waiting:
        shown.locator(f"#{chart} a.csv").click()
    download = waiting.value
    assert download.suggested_filename == f"{chart}.csv"
    return list(csv.reader(io.StringIO(download.path().read_text(encoding="utf-8"))))


def test_data_of_every_chart_can_be_downloaded(show: Open, whole: bytes) -> None:
    shown = show(whole)
    tables = {chart: downloaded(shown, chart) for chart in CHARTS}
    assert all(len(row) == len(rows[0]) for rows in tables.values() for row in rows)
    assert tables["step-time"][0] == ["nodes", "ranks", "step_s", "samples_per_s"]
    assert [float(row[2]) for row in tables["step-time"][1:]] == [point.step_s for point in REPORT.points]
    assert [float(row[1]) for row in tables["efficiency"][1:]] == [1.0, 0.9, 0.5]
    assert tables["memory"][1][1:] == [
        "900000000",
        "100000000",
        "100000000",
        "200000000",
        "450000000",
        "30000000",
        "15000000",
        "5000000",
        str(2**30),
    ]
    assert tables["timeline"][1] == ["stage 0", "0", "compute", "kernels", "forward", "0", "2"]
    assert len(tables["timeline"]) == 1 + 2 * 3
    assert len(tables["runs"]) == 1 + 200
    assert ["+x", "5", "3", ""] in tables["network"], "there is no link at the end of the axis"
    assert ["+y", "5", "3", "1"] in tables["network"]


def test_shares_of_a_size_are_as_long_as_what_they_stand_for(show: Open, whole: bytes) -> None:
    shown = show(whole)
    widths = shown.eval_on_selector_all("#breakdown svg rect", "all => all.map((each) => each.getAttribute('width'))")
    # one size computes all the time; the last, at half efficiency, computes half, and idles a quarter of the rest
    _, *sixty_four, compute, exposed, idle = map(float, widths)
    whole_width = sum(sixty_four)
    assert compute / whole_width == pytest.approx(0.5, abs=0.01)
    assert exposed / whole_width == pytest.approx(0.375, abs=0.01)
    assert idle / whole_width == pytest.approx(0.125, abs=0.01)


def test_pointing_at_a_slice_tells_what_it_is(show: Open, whole: bytes) -> None:
    shown = show(whole)
    assert shown.locator("#tip").is_hidden()
    shown.locator("#timeline rect[data-tip^='all_reduce']").first.hover()
    assert shown.locator("#tip").inner_text() == "all_reduce 3 B along dp\n1 s, from 2 s\n3 B\nalgorithm: ring"


def test_dragging_across_the_step_looks_closer_and_a_button_goes_back(show: Open, whole: bytes) -> None:
    shown = show(whole)
    slices = shown.locator("#timeline rect[data-tip]")
    assert slices.count() == 6
    shown.locator("#timeline svg").scroll_into_view_if_needed()
    box = shown.locator("#timeline svg").bounding_box()
    assert box is not None
    shown.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 50)
    shown.mouse.down()
    shown.mouse.move(box["x"] + 0.4 * box["width"], box["y"] + 50, steps=3)
    shown.mouse.up()
    assert slices.count() == 2, "only the kernels of both roles go on in the second tenth of the step"
    shown.get_by_role("button", name="Whole step").click()
    assert slices.count() == 6


def test_a_step_of_many_roles_shows_some_and_says_so(show: Open, machine: Machine) -> None:
    shown = show(page(REPORT, machine, timeline=timeline(48)), width=400)
    assert "16 of 48 roles, the first rank of each." in shown.locator("#timeline .note").inner_text()
    assert shown.locator("#timeline rect[data-tip]").count() == 16 * 3
    titles = shown.eval_on_selector_all("#timeline text", "all => all.map((each) => each.textContent)")
    assert {"stage 0: rank 0 for 8", "stage 47: rank 47 for 8"} <= set(titles)


@pytest.mark.parametrize("width", [400, 1280])
def test_rows_of_three_streams_leave_room_for_their_names(show: Open, machine: Machine, width: int) -> None:
    step = timeline()
    message = Slice(stream=Stream.SENDING, what=What.COMMUNICATION, name="send", start_s=1.0, end_s=2.0)
    tracks = tuple(replace(track, slices=(*track.slices, message)) for track in step.tracks)
    shown = show(page(REPORT, machine, timeline=replace(step, tracks=tracks)), width=width)
    names = shown.eval_on_selector_all(
        "#timeline svg text[x='0']",
        "all => all.map((each) => { const box = each.getBoundingClientRect(); return [box.top, box.bottom]; })",
    )
    names = sorted(names)[-8:]  # of two roles and their streams; the axis has one at 0, too
    assert all(below[0] > above[1] - 3 for above, below in itertools.pairwise(names))


WICKED = '</script><script>alert(1)</script> & <b>"$\\frac$ {title} --> é'


def test_name_of_a_job_is_text_wherever_it_stands(show: Open, machine: Machine) -> None:
    shown = show(page(replace(REPORT, job=WICKED), machine))
    assert shown.title() == f"{WICKED} on A toy"
    assert shown.locator("h1").inner_text() == f"{WICKED} on A toy"
    assert shown.evaluate("report.job") == WICKED
    assert shown.locator("b").count() == 0
