import itertools

import numpy as np
import pytest
from fujimi_core.job import Schedule
from fujimi_sim.planner.pipeline_time import pipeline_s, under_way

F, B = 1.0, 2.0


def listed(order: list[list[tuple[str, int]]], message_s: float) -> float:
    """End of a pipeline whose ranks each work through a list, found by waiting for what each piece needs."""
    ends: dict[tuple[str, int, int], float] = {}
    clocks = [0.0] * len(order)
    left = [list(each) for each in order]
    while any(left):
        for rank, todo in enumerate(left):
            while todo:
                work, number = todo[0]
                needs = [(work, rank - 1, number)] if work == "f" else [(work, rank + 1, number)]
                needs = [each for each in needs if 0 <= each[1] < len(order)]
                if any(each not in ends for each in needs):
                    break
                ready = max([clocks[rank], *(ends[each] + message_s for each in needs)])
                clocks[rank] = ends[work, rank, number] = ready + (F if work == "f" else B)
                todo.pop(0)
    return max(clocks)


def gpipe(ranks: int, microbatches: int) -> list[list[tuple[str, int]]]:
    return [[(work, number) for work in "fb" for number in range(microbatches)]] * ranks


def one_f_one_b(ranks: int, microbatches: int) -> list[list[tuple[str, int]]]:
    orders = []
    for rank in range(ranks):
        ahead = min(ranks - rank - 1, microbatches)
        forward = [("f", number) for number in range(microbatches)]
        backward = [("b", number) for number in range(microbatches)]
        steady = itertools.chain.from_iterable(zip(forward[ahead:], backward, strict=False))
        orders.append([*forward[:ahead], *steady, *backward[microbatches - ahead :]])
    return orders


@pytest.mark.parametrize(("ranks", "microbatches"), [(1, 3), (2, 2), (4, 4), (4, 9), (8, 8)])
@pytest.mark.parametrize("schedule", [Schedule.GPIPE, Schedule.ONE_F_ONE_B])
def test_equal_ranks_take_as_long_as_their_lists(schedule: Schedule, ranks: int, microbatches: int) -> None:
    order = gpipe if schedule is Schedule.GPIPE else one_f_one_b
    each = np.ones(ranks)
    found = pipeline_s(schedule, F * each, B * each, microbatches=microbatches)
    assert found == pytest.approx(listed(order(ranks, microbatches), 0.0))
    assert found == pytest.approx((microbatches + ranks - 1) * (F + B))


@pytest.mark.parametrize("schedule", [Schedule.GPIPE, Schedule.ONE_F_ONE_B])
def test_messages_make_a_pipeline_as_much_longer_as_its_lists(schedule: Schedule) -> None:
    order = gpipe if schedule is Schedule.GPIPE else one_f_one_b
    found = pipeline_s(schedule, F * np.ones(4), B * np.ones(4), microbatches=32, message_s=0.1)
    assert found == pytest.approx(listed(order(4, 32), 0.1), rel=0.02)


def test_busiest_rank_is_the_one_that_all_microbatches_wait_for() -> None:
    forward = np.array([1.0, 3.0, 1.0])
    assert pipeline_s(Schedule.ONE_F_ONE_B, forward, 2 * forward, microbatches=10) == 10 * 9 + 3 + 3


def test_virtual_stages_divide_the_bubble() -> None:
    each = np.ones(4)
    times = [
        pipeline_s(Schedule.INTERLEAVED, F * each, B * each, microbatches=8, virtual_stages=number) for number in (2, 3)
    ]
    assert times == [24 + 9 / 2, 24 + 9 / 3]


def test_zero_bubble_puts_weights_where_others_wait() -> None:
    # Qi et al., table 1: the bubble of ZB-H1 is (p - 1)(T_F + T_B - T_W), T_B being the gradient of inputs alone
    each = np.ones(4)
    found = pipeline_s(Schedule.ZERO_BUBBLE, F * each, B * each, microbatches=8, weights_s=0.8 * each)
    assert found == pytest.approx(8 * 3 + 3 * (1.0 + 1.2 - 0.8))


def test_one_f_one_b_keeps_as_many_microbatches_as_there_are_ranks_after_it() -> None:
    assert under_way(Schedule.ONE_F_ONE_B, 4, microbatches=8).tolist() == [4, 3, 2, 1]
    assert under_way(Schedule.ONE_F_ONE_B, 4, microbatches=2).tolist() == [2, 2, 2, 1]


def test_gpipe_keeps_all_microbatches() -> None:
    assert under_way(Schedule.GPIPE, 3, microbatches=8).tolist() == [8, 8, 8]


def test_interleaved_stages_keep_more_than_plain_ones() -> None:
    # Korthikanti et al., MLSys 2023, section 4.2.3: the first rank of p with v stages holds p (1 + (p - 1) / (p v))
    (first, *_) = under_way(Schedule.INTERLEAVED, 4, microbatches=8, virtual_stages=2)
    assert first == pytest.approx(4 * (1 + 3 / 8))
