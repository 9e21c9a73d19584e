"""Published runs of CosmoFlow as jobs."""

import pytest
from fujimi_a64fx.published_runs import published_runs
from fujimi_core.plan import plan_of


def test_a_step_is_the_median_epoch_of_the_runs_over_its_steps() -> None:
    (table,) = published_runs()
    steps = {run.name: run.step_s for run in table.runs()}
    assert steps == {
        "CosmoFlow v0.7, closed, batch 512": pytest.approx((127.325 + 127.847) / 2 / 512),
        "CosmoFlow v1.0, closed, batch 512": pytest.approx((262.337 + 262.607) / 2 / 1_024),
        "CosmoFlow v1.0, open, batch 512": pytest.approx((222.704 + 223.734) / 2 / 1_024),
    }


def test_runs_are_jobs_with_one_sample_a_node() -> None:
    (table,) = published_runs()
    for run in table.runs():
        plan = plan_of(run.job, run.nodes)
        assert (plan.batch, plan.global_batch, run.machine, run.fitted) == (1, 512, "fugaku", False)
