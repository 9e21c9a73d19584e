"""Runs, captures that are made once, and points that are collected or compared."""

from dataclasses import replace
from pathlib import Path

import pytest
from fujimi_core.job import Job
from fujimi_core.machine import Machine
from fujimi_core.plugins import Plugins
from fujimi_sim import baseline, plugin
from fujimi_sim.guard import CapturesOnce, Guard, Run
from fujimi_sim.simulation import Report, simulate_job


@pytest.fixture
def report(job: Job, machine: Machine, plugins: Plugins) -> Report:
    return simulate_job(job, machine, [16, 64, 4], plugins=plugins)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "baseline.json"


def check(guard: Guard, report: Report, job: Path | None = None, *, seed: int = 0, weak: bool = False) -> str:
    return guard.check(job or Path("tiny.toml"), report, seed=seed, weak=weak)


def store(path: Path, report: Report) -> str:
    guard = Guard(path, update=True, tolerance=0.01)
    assert check(guard, report, path.parent / "jobs" / "tiny.toml") == ""
    return guard.save()


def test_run_has_the_figures_of_the_largest_size_and_each_by_its_nodes(report: Report) -> None:
    run = Run.of(report)
    assert run.nodes == 64
    assert run.step_s == report.points[1].step_s
    assert list(run.points.values()) == list(report.points)
    assert list(run.points) == [16, 64, 4]


def test_run_is_written_in_a_line_without_its_parts(report: Report) -> None:
    assert "breakdown" not in repr(Run.of(report))
    assert "step_s=" in repr(Run.of(report))


def test_job_is_captured_once_for_each_number_of_ranks(job: Job, capture: object) -> None:
    plugins = CapturesOnce(strict=True)
    plugins.register(plugin, "sim")
    plugins.register(capture, "fake")
    first = [plugins.capture(job, ranks) for ranks in (4, 8)]
    again = [plugins.capture(job, ranks) for ranks in (4, 8)]
    assert all(one is other for one, other in zip(first, again, strict=True))
    assert first[0] is not first[1]
    assert plugins.capture(job.with_batch_per_rank(3), 4) is not first[0]


def test_points_are_stored_under_what_was_simulated_seen_from_the_file(path: Path, report: Report) -> None:
    assert store(path, report) == f"3 points stored in {path}"
    assert list(baseline.load(path)) == [f"jobs/tiny.toml on toy, {nodes} nodes" for nodes in (16, 4, 64)]


def test_seed_and_weak_scaling_are_other_points(path: Path, report: Report) -> None:
    guard = Guard(path, update=True, tolerance=0.01)
    one = replace(report, points=report.points[:1])
    check(guard, one, path.parent / "tiny.toml", seed=3, weak=True)
    guard.save()
    assert list(baseline.load(path)) == ["tiny.toml on toy, 16 nodes, weak from 16, seed 3"]


def test_points_that_were_not_simulated_this_time_stay_stored(path: Path, report: Report) -> None:
    store(path, report)
    faster = replace(report.points[0], step_s=1e-3)
    assert store(path, replace(report, points=(faster,))) == f"1 point stored in {path}"
    stored = baseline.load(path)
    assert len(stored) == 3
    assert stored["jobs/tiny.toml on toy, 16 nodes"].step_s == 1e-3


def test_same_points_pass_and_each_that_changed_is_told(path: Path, report: Report) -> None:
    store(path, report)
    job = path.parent / "jobs" / "tiny.toml"
    guard = Guard(path, update=False, tolerance=0.01)
    assert check(guard, report, job) == ""
    slower = replace(report, points=tuple(replace(each, step_s=2 * each.step_s) for each in report.points[:2]))
    said = check(guard, slower, job)
    for nodes in (16, 64):
        assert (
            f"jobs/tiny.toml on toy, {nodes} nodes: more than 1 % away from what is stored in baseline.json\n" in said
        )
    assert guard.save() == ""


def test_point_that_is_not_stored_is_told(path: Path, report: Report) -> None:
    store(path, replace(report, points=report.points[:1]))
    said = check(Guard(path, update=False, tolerance=0.01), report, path.parent / "jobs" / "tiny.toml")
    assert said == "\n\n".join(
        f"jobs/tiny.toml on toy, {nodes} nodes: no figures of it are stored in baseline.json" for nodes in (64, 4)
    )
