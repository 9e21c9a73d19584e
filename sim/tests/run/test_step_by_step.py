"""The shortcut against the long way: the same run in jumps and in single steps."""

import dataclasses
import math

import numpy as np
import pytest
from fujimi_core.facilities import Reliability
from fujimi_core.machine import Noise
from fujimi_sim.run.costs import Costs
from fujimi_sim.run.fate import Fate, draw_nodes
from fujimi_sim.run.jump import run
from fujimi_sim.run.outcome import Outcome
from fujimi_sim.run.spec import OnFailure, RunSpec
from fujimi_sim.run.step_by_step import run_step_by_step
from hypothesis import given, settings
from hypothesis import strategies as st

NOISE = Noise(compute_std=0.05, slow_share=0.1, slow_factor=1.5)
#: Times without a common measure, so that no two things happen at once.
specs = st.builds(
    RunSpec,
    steps=st.integers(1, 40),
    samples_per_step=st.just(4),
    checkpoint_every=st.sampled_from([0, 1, 3, 7, 20]),
    nodes=st.integers(1, 6),
    spares=st.integers(0, 2),
    on_failure=st.sampled_from(OnFailure),
    groups=st.sampled_from([1, 2, 5, 12]),
    hang_limit_s=st.just(5.0 + math.pi / 10),
    warned_s=st.sampled_from([math.inf, 60.0 + math.sqrt(2), 100.0 + math.e]),
    restarts=st.sampled_from([None, 0, 2]),
    wait_s=st.sampled_from([0.0, 7.1]),
)
costs = st.builds(
    Costs,
    even_step_s=st.sampled_from([math.sqrt(0.3), math.sqrt(3)]),
    compute_s=st.just(0.4),
    read_s=st.sampled_from([0.0, math.sqrt(5)]),
    copy_s=st.sampled_from([0.0, math.sqrt(0.1)]),
    write_s=st.sampled_from([0.0, math.sqrt(2), math.sqrt(401)]),
    restore_s=st.just(math.sqrt(3.1)),
    stage_s=st.sampled_from([0.0, math.sqrt(11)]),
    stage_one_s=st.just(1.1),
    launch_s=st.just((0.5, 1.5)),
    start_s=st.just(math.sqrt(5.5)),
)


def fate(spec: RunSpec, reliability: Reliability, seed: int) -> Fate:
    nodes = draw_nodes(np.full((spec.nodes, 2), 0.4), NOISE, seed=seed)
    return Fate(nodes, NOISE, reliability, seed=seed)


def about(outcome: Outcome) -> object:
    return pytest.approx(dataclasses.asdict(outcome), rel=1e-9, abs=1e-6)


@settings(max_examples=150)
@given(
    spec=specs,
    costs=costs,
    mtbf_s=st.sampled_from([250.0, 600.0, 1e9]),
    shape=st.sampled_from([0.7, 1.0]),
    seed=st.integers(0, 99),
)
def test_jumps_come_to_what_single_steps_come_to(
    spec: RunSpec, costs: Costs, mtbf_s: float, shape: float, seed: int
) -> None:
    reliability = Reliability(node_mtbf_s=mtbf_s * spec.nodes, weibull_shape=shape, hang_share=0.5)
    jumped = run(spec, costs, fate(spec, reliability, seed))
    assert dataclasses.asdict(run_step_by_step(spec, costs, fate(spec, reliability, seed))) == about(jumped)


def test_run_that_shrinks_in_each_submission_has_all_its_nodes_in_the_next() -> None:
    spec = RunSpec(
        steps=400, samples_per_step=4, checkpoint_every=7, nodes=2, groups=2, on_failure=OnFailure.SHRINK, warned_s=90.0
    )
    paid = Costs(even_step_s=1.7, compute_s=0.4, restore_s=1.7, start_s=2.3)
    reliability = Reliability(node_mtbf_s=200.0)
    outcome = run_step_by_step(spec, paid, fate(spec, reliability, 3))
    assert dataclasses.asdict(outcome) == about(run(spec, paid, fate(spec, reliability, 3)))
    assert outcome.failures > 4
    assert outcome.submissions > 4
    assert all(0 <= value < math.inf for value in dataclasses.asdict(outcome).values())


def test_runs_compared_above_fail_hang_shrink_and_are_submitted_again() -> None:
    spec = RunSpec(
        steps=40,
        samples_per_step=4,
        checkpoint_every=3,
        nodes=4,
        groups=4,
        on_failure=OnFailure.SHRINK,
        hang_limit_s=5.0,
        warned_s=61.0,
        wait_s=7.0,
    )
    paid = Costs(even_step_s=1.7, compute_s=0.4, read_s=1.9, copy_s=0.3, write_s=1.4, restore_s=1.7, start_s=2.3)
    reliability = Reliability(node_mtbf_s=100.0, hang_share=0.5)
    outcome = run_step_by_step(spec, paid, fate(spec, reliability, 3))
    assert outcome.failures > 1
    assert outcome.submissions > 1
    assert min(outcome.detection_s, outcome.restore_s, outcome.reading_s, outcome.lost_s, outcome.waiting_s) > 0
