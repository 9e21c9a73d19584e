"""Whole runs: against closed forms of their expected time, and what they refuse."""

import math
from dataclasses import replace

import numpy as np
import pytest
from fujimi_core.errors import JobError
from fujimi_core.facilities import Reliability
from fujimi_core.machine import Noise
from fujimi_sim.run.costs import Costs
from fujimi_sim.run.fate import Fate, draw_nodes
from fujimi_sim.run.jump import run
from fujimi_sim.run.outcome import Outcome
from fujimi_sim.run.spec import OnFailure, RunSpec

SPEC = RunSpec(steps=40, samples_per_step=8, checkpoint_every=10, nodes=4, groups=4)
COSTS = Costs(even_step_s=5.0, compute_s=4.0, copy_s=3.0)


def fate(reliability: Reliability | None, *, seed: int = 0, nodes: int = 4) -> Fate:
    return Fate(draw_nodes(np.ones((nodes, 1)), Noise(), seed=0), Noise(), reliability, seed=seed)


def once_in(mtbf_s: float, *, hang_share: float = 0.0) -> Reliability:
    """Nodes of which the four of a run fail once in so long."""
    return Reliability(node_mtbf_s=4 * mtbf_s, hang_share=hang_share)


def mean_s(spec: RunSpec, costs: Costs, reliability: Reliability, runs: int = 2_000) -> tuple[float, float]:
    """Mean time of many runs, and four standard errors."""
    totals = [run(spec, costs, fate(reliability, seed=seed)).total_s for seed in range(runs)]
    return float(np.mean(totals)), 4 * float(np.std(totals)) / math.sqrt(runs)


@pytest.mark.parametrize("mtbf_s", [40.0, 100.0, 1_000.0])
def test_expected_time_is_daly_s_for_failures_by_the_exponential_law(mtbf_s: float) -> None:
    # Daly 2006, equation 20: each segment takes m exp(R/m) (exp((tau + delta)/m) - 1), restarts R may fail too;
    # the first start is one as well: m (exp((R + tau + delta)/m) - 1)
    start_s, segment_s = 7.0, 10 * 5.0 + 3.0
    first = mtbf_s * math.expm1((start_s + segment_s) / mtbf_s)
    others = 3 * mtbf_s * math.exp(start_s / mtbf_s) * math.expm1(segment_s / mtbf_s)
    found, error = mean_s(SPEC, replace(COSTS, start_s=start_s), once_in(mtbf_s))
    assert found == pytest.approx(first + others, abs=error)


def test_reading_a_checkpoint_and_noticing_a_hang_lengthen_each_failure() -> None:
    # nothing can fail while nobody notices, so that each failure adds just that time
    spec, mtbf_s = replace(SPEC, hang_limit_s=11.0), 100.0
    segment_s = 53.0
    expected = 4 * (mtbf_s + 11.0) * math.expm1(segment_s / mtbf_s)
    found, error = mean_s(spec, COSTS, once_in(mtbf_s, hang_share=1.0))
    assert found == pytest.approx(expected, abs=error)


def test_parts_add_up_and_steps_that_count_are_those_of_the_job() -> None:
    costs = replace(COSTS, launch_s=(1.0, 2.0), start_s=2.0, restore_s=4.0, write_s=9.0, stage_s=5.0, read_s=6.0)
    for seed in range(20):
        outcome = run(replace(SPEC, restarts=1, wait_s=30.0), costs, fate(once_in(100.0), seed=seed))
        assert outcome.steps_s == pytest.approx(40 * 5.0)
        assert outcome.reading_s == pytest.approx(40 * 1.0)
        assert outcome.waiting_s == 30.0 * (outcome.submissions - 1)
        assert outcome.total_s == pytest.approx(outcome.waiting_s + outcome.held_s)
        started = outcome.staging_s + outcome.launch_s + outcome.start_s + outcome.restore_s + outcome.detection_s
        assert outcome.held_s == pytest.approx(outcome.busy_s + started)


def undisturbed(spec: RunSpec, costs: Costs) -> Outcome:
    return run(spec, costs, fate(None))


def test_run_without_failures_is_start_and_steps_and_checkpoints() -> None:
    outcome = undisturbed(SPEC, replace(COSTS, launch_s=(2.0, 2.0), start_s=1.0, stage_s=10.0))
    assert (outcome.staging_s, outcome.launch_s, outcome.start_s, outcome.restore_s) == (10.0, 2.0, 1.0, 0.0)
    assert (outcome.steps_s, outcome.checkpoints_s, outcome.lost_s) == (200.0, 12.0, 0.0)
    assert (outcome.failures, outcome.submissions) == (0, 1)


def test_time_limit_splits_a_run_into_submissions_that_stage_again() -> None:
    # 20 s to start, then 40 s of steps of 5 s: 8 steps until the warning at 60, one more, and a checkpoint
    spec = replace(SPEC, warned_s=60.5, wait_s=100.0, checkpoint_every=0)
    outcome = undisturbed(spec, replace(COSTS, stage_s=20.0))
    assert outcome.submissions == math.ceil(40 / 9)
    assert outcome.staging_s == outcome.submissions * 20.0
    assert outcome.checkpoints_s == outcome.submissions * 3.0
    assert outcome.waiting_s == (outcome.submissions - 1) * 100.0


def test_spares_are_staged_to_and_last_until_they_are_used_up() -> None:
    costs = replace(COSTS, stage_s=20.0, stage_one_s=6.0)
    outcome = run(replace(SPEC, spares=2), costs, fate(once_in(60.0), seed=4))
    assert outcome.failures > 2
    assert 20.0 < outcome.staging_s <= 20.0 + 2 * 6.0


def test_shrunken_run_computes_the_samples_of_four_groups_on_three() -> None:
    spec = replace(SPEC, on_failure=OnFailure.SHRINK)
    outcomes = [run(spec, COSTS, fate(once_in(60.0), seed=seed)) for seed in range(100)]
    once = [outcome.steps_s for outcome in outcomes if outcome.failures == 1]
    # 4 of 5 s are computing; how many steps were saved before the failure is chance
    expected = {5.0 * saved + (5.0 + 4.0 / 3) * (40 - saved) for saved in (0, 10, 20, 30)}
    assert once
    assert set(np.round(once, 6)) <= set(np.round(list(expected), 6))
    assert max(outcome.steps_s for outcome in outcomes) <= 40 * (5.0 + 3 * 4.0) + 1e-6, "one group is left at last"


def test_run_that_reaches_no_step_before_the_warning_is_refused() -> None:
    with pytest.raises(JobError, match="staging and start take 90 s, but the scheduler warns after 80 s"):
        undisturbed(replace(SPEC, warned_s=80.0), replace(COSTS, stage_s=90.0))


def test_hangs_that_nobody_would_notice_are_refused() -> None:
    with pytest.raises(JobError, match=r"set train\.hang_limit_s above 0"):
        run(SPEC, COSTS, fate(once_in(60.0, hang_share=0.1)))


def test_run_that_never_saves_anything_is_given_up() -> None:
    with pytest.raises(JobError, match=r"10,000 starts in a row failed .* after step 0; set train\.checkpoint_every"):
        run(replace(SPEC, checkpoint_every=0), COSTS, fate(once_in(2.0)))
