"""Pages in a browser: Debian's Chromium, without a window."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fujimi_core.machine import Machine, NetworkAxis
from fujimi_core.workload import Memory, Stream
from fujimi_sim.network.heat import Busy, Heat
from fujimi_sim.page_file import page
from fujimi_sim.simulation import Cost, Point, Report
from fujimi_sim.timeline import Slice, Timeline, Track, What
from playwright.sync_api import Browser, Page, sync_playwright

#: Other names under which a system may have it.
NAMES = ("chromium", "chromium-browser", "google-chrome")
Open = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.fail("these tests need a browser: apt-get install chromium", pytrace=False)
    with sync_playwright() as playwright:
        # containers run as root, under whom Chromium has no sandbox; it opens nothing but these pages
        started = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser has against the pages that a test opens."""
    return []


@pytest.fixture
def show(browser: Browser, tmp_path: Path, complaints: list[str]) -> Iterator[Open]:
    """Open a page, and refuse to end a test in which the browser complained."""

    def open_page(content: bytes, *, width: int = 1280, scheme: str = "light") -> Page:
        path = tmp_path / "report.html"
        path.write_bytes(content)
        shown = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
        shown.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        shown.on("pageerror", lambda error: complaints.append(str(error)))
        shown.on("request", lambda request: None if request.url == path.as_uri() else complaints.append(request.url))
        shown.goto(path.as_uri())
        return shown

    yield open_page
    assert complaints == []


def point(nodes: int, efficiency: float) -> Point:
    step_s = 1.5 / efficiency
    memory = Memory(
        peak_bytes=900_000_000,
        parameter_bytes=100_000_000,
        gradient_bytes=100_000_000,
        optimizer_bytes=200_000_000,
        activation_bytes=450_000_000,
        workspace_bytes=30_000_000,
        buffer_bytes=15_000_000,
    )
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
        memory_bytes_per_rank=memory.peak_bytes,
        memory_fits=True,
        breakdown=(),
        memory=memory,
    )


REPORT = Report(
    machine="toy",
    job="tiny",
    points=(point(1, 1.0), point(64, 0.9), point(13_824, 0.5)),
    simulation=Cost(cpu_s=8.5, peak_rss_bytes=350 * 10**6),
)


def timeline(tracks: int = 2) -> Timeline:
    slices = (
        Slice(stream=Stream.COMPUTE, what=What.KERNELS, name="forward", start_s=0.0, end_s=2.0),
        Slice(stream=Stream.COMPUTE, what=What.KERNEL, name="aten.mm", start_s=0.0, end_s=2.0),
        Slice(stream=Stream.COMPUTE, what=What.WAIT, name="waits for all_reduce", start_s=2.0, end_s=3.0),
        Slice(
            stream=Stream.COMMUNICATION,
            what=What.COMMUNICATION,
            name="all_reduce 3 B along dp",
            start_s=2.0,
            end_s=3.0,
            details={"bytes": 3, "algorithm": "ring"},
        ),
    )
    return Timeline(
        step_s=3.0,
        tracks=tuple(Track(role=f"stage {index}", rank=index, ranks=8, slices=slices) for index in range(tracks)),
    )


def heat() -> Heat:
    axes = tuple(NetworkAxis(name=name, extent=extent, wrap=False) for name, extent in (("x", 6), ("y", 4)))
    seconds = np.linspace(0, 1, 24).reshape(6, 4)
    ends = seconds.copy()
    ends[-1] = np.nan
    links = (Busy(name="+x", seconds=ends), Busy(name="+y", seconds=seconds))
    return Heat(links=links, nodes=(Busy(name="injection", seconds=seconds.ravel()),), axes=axes)


@pytest.fixture
def whole(machine: Machine) -> bytes:
    """A page with every chart."""
    runs = np.random.default_rng(1).normal(1e6, 1e5, 200).tolist()
    return page(REPORT, machine, timeline=timeline(), heat=heat(), run_seconds=runs)


@pytest.fixture
def bare(machine: Machine) -> bytes:
    """A page of a single size of which nothing more is known."""
    only = replace(REPORT.points[0], memory=Memory(), memory_bytes_per_rank=0)
    return page(replace(REPORT, points=(only,)), machine)
