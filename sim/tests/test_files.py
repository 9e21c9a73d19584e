"""A job file and a captured workload give the same figures; see test_commands for what is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from fujimi_core import workload_file
from fujimi_core.errors import JobError
from fujimi_core.job import Job
from fujimi_core.machine import Machine
from fujimi_core.plugins import Plugins
from fujimi_sim.files import simulate_file


def test_captured_workload_gives_the_point_of_its_job_but_for_the_efficiency(
    job: Job, job_file: Path, machine: Machine, plugins: Plugins
) -> None:
    captured = job_file.with_suffix(".jsonl")
    workload_file.save(plugins.capture(job, 4), captured)
    (of_job,), (of_file,) = (simulate_file(path, machine, [4], plugins=plugins).points for path in (job_file, captured))
    assert replace(of_file, parallel_efficiency=of_job.parallel_efficiency) == of_job


def test_job_can_be_changed_but_not_what_was_captured_of_it(
    job: Job, job_file: Path, machine: Machine, plugins: Plugins
) -> None:
    (point,) = simulate_file(job_file, machine, [4], plugins=plugins, changes=["train.global_batch=32"]).points
    assert point.samples_per_s * point.step_s == pytest.approx(4 * 8)
    captured = job_file.with_suffix(".jsonl")
    workload_file.save(plugins.capture(job, 4), captured)
    with pytest.raises(JobError, match=r"--set train.steps=3: .* is what was captured of a job"):
        simulate_file(captured, machine, [4], plugins=plugins, changes=["train.steps=3"])
