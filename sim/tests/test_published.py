"""Simulated steps beside published ones."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from fujimi_core.errors import FujimiError
from fujimi_core.job import Job
from fujimi_core.plugins import Plugins
from fujimi_core.published import PublishedRun, PublishedRuns
from fujimi_sim.published import as_table, compare, machine_of, mean_absolute_error, page, summary, with_section


@pytest.fixture
def run(job: Job) -> PublishedRun:
    return PublishedRun(name="row", job=job, machine="toy", nodes=4, step_s=0.1)


def test_error_is_simulated_over_measured_less_one(run: PublishedRun, plugins: Plugins) -> None:
    (found,) = compare([run], plugins=plugins)
    (half,) = compare([replace(run, step_s=found.replay.step_s / 2)], plugins=plugins)
    assert half.error == pytest.approx(1.0)


def test_rows_that_were_fitted_count_for_nothing(run: PublishedRun, plugins: Plugins) -> None:
    step_s = compare([run], plugins=plugins)[0].replay.step_s
    runs = [replace(run, step_s=step_s / 1.25), replace(run, step_s=step_s / 0.5, fitted=True)]
    found = compare(runs, plugins=plugins)
    assert mean_absolute_error(found) == pytest.approx(0.25)
    assert math.isnan(mean_absolute_error(found[1:]))
    table = PublishedRuns(name="toys", source="Somebody, 2026", goal=0.2, runs=lambda: runs)
    assert summary({table: found}) == [["toys", "1", "1", "25.0%", "25.0%", "+25.0%", "20%", "missed"]]
    assert [row["fitted"] for row in as_table({table: found})] == [False, True]
    assert "Somebody, 2026" in page({table: found})


def test_part_of_the_devices_of_a_node_may_be_used(run: PublishedRun, plugins: Plugins) -> None:
    assert machine_of(replace(run, devices=2), plugins).node.devices == 2
    assert machine_of(run, plugins) == plugins.machine("toy")


def test_captured_workloads_are_kept_and_taken_again(run: PublishedRun, plugins: Plugins, tmp_path: Path) -> None:
    (first,) = compare([run], plugins=plugins, captured=tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    (again,) = compare([run], plugins=plugins, captured=tmp_path)
    assert again.replay.step_s == first.replay.step_s


def test_run_that_cannot_be_simulated_is_named(run: PublishedRun, plugins: Plugins) -> None:
    with pytest.raises(FujimiError, match=r"row: .*global_batch 64 does not divide"):
        compare([replace(run, nodes=63)], plugins=plugins)


def test_section_of_a_page_is_replaced_and_others_stay() -> None:
    whole = with_section("", "A", "a")
    whole = with_section(whole, "B", "b")
    assert with_section(whole, "A", "new") == "# A\n\nnew\n\n# B\n\nb\n"
