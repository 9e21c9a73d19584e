"""The run that a job file asks for."""

import math
from dataclasses import replace

import pytest
from fujimi_core.job import Job
from fujimi_core.submit_spec import SubmitSpec
from fujimi_sim.run.spec import OnFailure, RunSpec, spec_of


def asked(job: Job) -> RunSpec:
    return spec_of(job, 8, samples_per_step=64, groups=4, spares=1, on_failure=OnFailure.SHRINK, wait_s=60.0)


def test_steps_checkpoints_and_patience_are_those_of_train(job: Job) -> None:
    train = replace(job.train, steps=1_000, checkpoint_every=50, hang_limit_s=200.0)
    spec = asked(replace(job, train=train))
    assert (spec.steps, spec.checkpoint_every, spec.hang_limit_s, spec.samples) == (1_000, 50, 200.0, 64_000)
    assert (spec.nodes, spec.spares, spec.on_failure, spec.groups, spec.wait_s) == (8, 1, OnFailure.SHRINK, 4, 60.0)


def test_without_a_scheduler_there_is_no_limit(job: Job) -> None:
    assert (asked(job).warned_s, asked(job).restarts) == (math.inf, None)


def test_limit_and_restarts_are_those_of_submit(job: Job) -> None:
    spec = asked(replace(job, submit=SubmitSpec(nodes=8, time_limit_s=3_600, warning_s=300, restarts=2)))
    assert (spec.warned_s, spec.restarts) == (3_300, 2)


@pytest.mark.parametrize(
    ("nodes", "groups", "lost", "nodes_left"), [(8, 8, 1, 7), (8, 2, 1, 4), (4, 8, 2, 3), (3, 8, 3, 2)]
)
def test_a_node_takes_its_groups_with_it(nodes: int, groups: int, lost: int, nodes_left: int) -> None:
    spec = RunSpec(steps=1, samples_per_step=1, checkpoint_every=0, nodes=nodes, groups=groups)
    assert spec.groups_of_node == lost
    assert spec.nodes_of(groups - lost) == nodes_left


@pytest.mark.parametrize("name", ["steps", "samples_per_step", "nodes", "groups"])
def test_run_of_nothing_is_refused(name: str) -> None:
    spec = RunSpec(steps=1, samples_per_step=1, checkpoint_every=0, nodes=1)
    with pytest.raises(ValueError, match=f"{name} is 0; at least 1 is needed"):
        replace(spec, **{name: 0})
