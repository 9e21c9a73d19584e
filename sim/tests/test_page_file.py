"""The page of a report as a file; what a browser makes of it is in tests/page."""

import html.parser
import json
import re
from dataclasses import replace

import pytest
from fujimi_core.machine import Machine
from fujimi_core.workload import Memory
from fujimi_sim.page_file import page
from fujimi_sim.simulation import Cost, Point, Report

POINT = Point(
    nodes=64,
    ranks=64,
    step_s=2.0,
    compute_s=1.5,
    communication_s=1.0,
    exposed_communication_s=0.375,
    idle_s=0.125,
    samples_per_s=32,
    flops_per_s=1e12,
    fraction_of_peak=0.5,
    parallel_efficiency=0.75,
    memory_bytes_per_rank=2 * 10**9,
    memory_fits=True,
    breakdown=(),
    memory=Memory(peak_bytes=2 * 10**9, parameter_bytes=5 * 10**8, activation_bytes=10**9),
)
REPORT = Report(machine="toy", job="tiny", points=(POINT,), simulation=Cost(cpu_s=8.5, peak_rss_bytes=350 * 10**6))


class Page(html.parser.HTMLParser):
    """What a browser would load, show and run."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.texts: dict[str, str] = {}
        self.data = ""
        self._inside: list[str] = []
        self._is_data = False
        self.feed(content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link"):
            self._inside.append(tag)
        self._is_data = tag == "script" and ("type", "application/json") in attrs
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "data", "action")]

    def handle_data(self, data: str) -> None:
        if self._is_data:
            self.data += data
        elif self._inside:
            self.texts[self._inside[-1]] = self.texts.get(self._inside[-1], "") + data

    def handle_endtag(self, tag: str) -> None:
        self._is_data = False
        while self._inside and self._inside.pop() != tag:
            pass


def test_page_loads_nothing_from_elsewhere(machine: Machine) -> None:
    shown = Page(page(REPORT, machine))
    assert shown.loads == ["data:,"]
    assert not re.search(r"@import|url\(", shown.texts["style"])
    # the names of the two languages that a script can draw in are no addresses that it loads
    addresses = set(re.findall(r"https?://[^\"]*", shown.texts["script"]))
    assert addresses == {"http://www.w3.org/2000/svg"}


def test_page_holds_the_report_for_programs_and_a_table_for_people(machine: Machine) -> None:
    shown = Page(page(REPORT, machine, run_seconds=[3.0, 4.0]))
    data = json.loads(shown.data)
    (point,) = data["points"]
    assert (point["step_s"], point["memory"]["other_bytes"]) == (2.0, 5 * 10**8)
    assert data["runs"] == [3.0, 4.0]
    assert (data["timeline"], data["network"]) == (None, None)
    assert shown.texts["th"].startswith("nodesranksstep")
    assert "75.0%" in shown.texts["td"]
    assert "A prediction" in shown.texts["p"]
    assert "does not fit" in shown.texts["small"]


WICKED = '</script><script>alert(1)</script> & <b>"$ {title} --> é'


def test_name_of_a_job_is_text_wherever_it_stands(machine: Machine) -> None:
    shown = Page(page(replace(REPORT, job=WICKED), machine))
    assert shown.texts["title"] == f"{WICKED} on A toy"
    assert shown.texts["h1"].strip() == WICKED
    assert json.loads(shown.data)["job"] == WICKED
    assert "b" not in shown.texts


def test_same_report_gives_the_same_bytes(machine: Machine) -> None:
    assert page(REPORT, machine) == page(REPORT, machine)


@pytest.mark.parametrize(("peak", "word"), [(2**30, "fits"), (2**30 + 1, "does not fit")])
def test_page_says_in_large_letters_whether_memory_is_enough(machine: Machine, peak: int, word: str) -> None:
    shown = Page(page(replace(REPORT, points=(replace(POINT, memory_bytes_per_rank=peak),)), machine))
    assert f"of 1 GiB: {word}" in shown.texts["small"]
