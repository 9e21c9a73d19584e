import itertools

import numpy as np
import pytest
from fujimi_sim.network.collectives.bine import Lane, bine_distance, lanes_of, partners
from hypothesis import given, settings
from hypothesis import strategies as st

shapes = st.lists(st.sampled_from([1, 2, 4, 8]), min_size=1, max_size=3).map(tuple)


def every_lane(shape):
    return [Lane(first_axis=axis, mirrored=mirrored) for axis in range(len(shape)) for mirrored in (False, True)]


def heard(steps, members):
    """Who has heard of whom after all steps, as a matrix."""
    knows = np.eye(members, dtype=bool)
    for step in steps:
        knows |= knows[step]
    return knows


def links_from(step, shape):
    """Axis and signed distance, the shorter way round, of every member's message."""
    here = np.stack(np.unravel_index(np.arange(step.size), shape))
    there = np.stack(np.unravel_index(step, shape))
    extents = np.array(shape)[:, None]
    back = (extents - 1) // 2
    return (there - here + back) % extents - back


@pytest.mark.parametrize("step", range(40))
def test_a_bine_distance_is_a_sum_of_powers_of_minus_two(step):
    assert bine_distance(step) == sum((-2) ** power for power in range(step + 1))


@pytest.mark.parametrize("steps", range(1, 12))
def test_no_bine_distance_is_longer_than_a_third_of_the_ring(steps):
    # A binary one is half of the ring.
    assert 3 * abs(bine_distance(steps - 1)) <= 2**steps + 1


@pytest.mark.parametrize("count", range(1, 13))
def test_lanes_take_each_axis_before_one_goes_the_other_way_round(count):
    lanes = lanes_of(count, 3)
    assert len(lanes) == count
    assert [lane.first_axis for lane in lanes] == [number % 3 for number in range(count)]
    assert [lane.mirrored for lane in lanes[:6]] == [number >= 3 for number in range(min(count, 6))]
    assert len(set(lanes[:6])) == min(count, 6)


@pytest.mark.parametrize("bine", [True, False])
@given(shape=shapes)
@settings(max_examples=40, deadline=None)
def test_partners_are_mutual_and_others(bine, shape):
    everyone = np.arange(int(np.prod(shape)))
    for lane in every_lane(shape):
        for step in partners(shape, lane, bine=bine):
            assert np.array_equal(np.sort(step), everyone)
            assert np.array_equal(step[step], everyone)
            assert not (step == everyone).any()


@pytest.mark.parametrize("bine", [True, False])
@given(shape=shapes)
@settings(max_examples=40, deadline=None)
def test_after_as_many_steps_as_there_are_doublings_everybody_has_heard_of_everybody(bine, shape):
    members = int(np.prod(shape))
    for lane in every_lane(shape):
        steps = partners(shape, lane, bine=bine)
        assert 2 ** len(steps) == members
        assert heard(steps, members).all()


@pytest.mark.parametrize("bine", [True, False])
@pytest.mark.parametrize("backwards", [False, True])
@given(shape=shapes, root=st.integers(0, 511))
@settings(max_examples=40, deadline=None)
def test_each_step_doubles_those_whom_a_root_has_reached(bine, backwards, shape, root):
    members = int(np.prod(shape))
    for lane in every_lane(shape):
        steps = partners(shape, lane, bine=bine)
        reached = {root % members}
        for number, step in enumerate(reversed(steps) if backwards else steps, start=1):
            reached |= {int(step[member]) for member in reached}
            assert len(reached) == 2**number


@pytest.mark.parametrize("bine", [True, False])
@given(shape=shapes)
@settings(max_examples=40, deadline=None)
def test_a_step_moves_along_one_axis_by_its_distance(bine, shape):
    for lane in every_lane(shape):
        made = dict.fromkeys(range(len(shape)), 0)
        for step in partners(shape, lane, bine=bine):
            ahead = links_from(step, shape)
            (axis,) = np.flatnonzero(ahead.any(axis=1))
            number = made[axis]
            distance = abs(bine_distance(number)) if bine else 2**number
            shorter = min(distance % shape[axis], -distance % shape[axis])
            assert set(np.abs(ahead[axis]).tolist()) == {shorter}
            made[axis] = number + 1
        assert [2**steps for steps in made.values()] == list(shape)


@given(shape=shapes)
@settings(max_examples=20, deadline=None)
def test_a_lane_begins_on_its_axis_and_takes_the_others_in_turn(shape):
    for lane in every_lane(shape):
        axes = [
            int(np.flatnonzero(links_from(step, shape).any(axis=1))[0]) for step in partners(shape, lane, bine=True)
        ]
        left = {axis: extent.bit_length() - 1 for axis, extent in enumerate(shape)}
        turns = (axis % len(shape) for axis in itertools.count(lane.first_axis))
        for axis in axes:
            assert axis == next(turn for turn in turns if left[turn])
            left[axis] -= 1


@pytest.mark.parametrize("bine", [True, False])
@pytest.mark.parametrize("shape", [(8,), (4, 4), (4, 4, 4), (8, 2, 4)])
def test_mirrored_lanes_send_from_everybody_the_other_way_round(bine, shape):
    for axis in range(len(shape)):
        straight, mirrored = (
            partners(shape, Lane(first_axis=axis, mirrored=each), bine=bine) for each in (False, True)
        )
        for one, other in zip(straight, mirrored, strict=True):
            extents = np.array(shape)[:, None]
            assert np.array_equal(links_from(one, shape) % extents, -links_from(other, shape) % extents)


@pytest.mark.parametrize("bine", [True, False])
@pytest.mark.parametrize("shape", [(4,), (8, 8), (4, 4, 4)])
def test_lanes_of_all_axes_and_both_ways_begin_on_links_of_their_own(bine, shape):
    used = [
        (member, int(axis), int(np.sign(links[axis, member])))
        for lane in lanes_of(2 * len(shape), len(shape))
        for links in [links_from(partners(shape, lane, bine=bine)[0], shape)]
        for member in range(int(np.prod(shape)))
        for axis in np.flatnonzero(links[:, member])
    ]
    assert len(set(used)) == len(used) == 2 * len(shape) * np.prod(shape)


@pytest.mark.parametrize("bine", [True, False])
@pytest.mark.parametrize("shape", [(3,), (4, 6), (2, 2, 5)])
def test_extents_that_are_no_powers_of_two_have_no_partners(bine, shape):
    assert partners(shape, Lane(first_axis=0, mirrored=False), bine=bine) is None
