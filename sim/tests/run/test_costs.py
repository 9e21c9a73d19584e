"""A step on the nodes that there are."""

from fujimi_sim.run.costs import Costs, StepTime, step_time

COSTS = Costs(even_step_s=5.0, compute_s=3.0, read_s=7.5)


def test_reading_stalls_only_where_it_takes_longer_than_the_step() -> None:
    step = step_time(COSTS, delay_s=1.0, groups=4, groups_left=4)
    assert step == StepTime(even_s=5.0, stragglers_s=1.0, reading_s=1.5)
    assert step.total_s == COSTS.read_s
    assert step_time(COSTS, delay_s=4.0, groups=4, groups_left=4).reading_s == 0.0


def test_fewer_groups_compute_more_and_communicate_as_much() -> None:
    assert step_time(COSTS, delay_s=0.0, groups=4, groups_left=3).even_s == 5.0 + 3.0 / 3
