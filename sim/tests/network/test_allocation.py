import itertools
import math

import numpy as np
import pytest
from fujimi_core.machine import NetworkAxis
from fujimi_sim.network.allocation import box, box_axes, free_origin, snake, spread
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize("nodes", [1, 12, 64, 384, 1024, 13_824, 82_944, 158_976])
def test_fugaku_has_an_exact_box(fugaku, nodes):
    assert math.prod(box(fugaku.network.axes, nodes)) == nodes


@pytest.mark.parametrize("nodes", [12, 384, 1536, 13_824])
def test_units_are_filled_where_the_number_of_nodes_allows_it(fugaku, nodes):
    assert box(fugaku.network.axes, nodes)[3:] == (2, 3, 2)


def test_as_many_axes_as_possible_keep_their_wrap(fugaku):
    # 24x2x24 units of 12 are what the 13,824-node jobs of Fugaku-LLM ran on.
    assert box(fugaku.network.axes, 13_824) == (24, 2, 24, 2, 3, 2)


def test_cubes_are_preferred_to_lines():
    axes = [NetworkAxis(name=name, extent=8, wrap=False) for name in "xyz"]
    assert box(axes, 64) == (4, 4, 4)


@pytest.mark.parametrize("nodes", [10_007, 5_000, 100_003, 158_975])
def test_a_number_without_an_exact_box_gets_a_slightly_larger_one_of_whole_units(fugaku, nodes):
    extents = box(fugaku.network.axes, nodes)
    assert nodes < math.prod(extents) <= 1.07 * nodes
    assert extents[3:] == (2, 3, 2)


@given(st.lists(st.integers(1, 6), min_size=1, max_size=3), st.data())
def test_a_box_is_exact_whenever_one_exists_and_always_holds_the_job(extents, data):
    axes = [
        NetworkAxis(name=str(i), extent=extent, wrap=data.draw(st.booleans()), unit=data.draw(st.booleans()))
        for i, extent in enumerate(extents)
    ]
    nodes = data.draw(st.integers(1, math.prod(extents)))
    found = box(axes, nodes)
    assert all(1 <= part <= whole for part, whole in zip(found, extents, strict=True))
    exists = any(math.prod(each) == nodes for each in itertools.product(*(range(1, e + 1) for e in extents)))
    assert math.prod(found) == nodes if exists else math.prod(found) > nodes


def test_more_nodes_than_there_are_do_not_fit():
    with pytest.raises(ValueError, match="9 nodes do not fit axes with 8 nodes"):
        box([NetworkAxis(name="x", extent=8, wrap=True)], 9)


def test_only_whole_axes_keep_their_wrap():
    axes = [NetworkAxis(name="x", extent=4, wrap=True), NetworkAxis(name="y", extent=4, wrap=True)]
    assert [axis.wrap for axis in box_axes(axes, (4, 3))] == [True, False]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=5))
def test_a_snake_visits_every_node_once_one_hop_at_a_time(extents):
    order = snake(tuple(extents))
    assert len(np.unique(np.ravel_multi_index(tuple(order), extents))) == math.prod(extents)
    assert (np.abs(np.diff(order, axis=1)).sum(axis=0) == 1).all()


@st.composite
def grids(draw):
    extents = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    part = tuple(draw(st.integers(1, extent)) for extent in extents)
    taken = np.zeros(extents, bool)
    taken.flat[sorted(draw(st.sets(st.integers(0, taken.size - 1), max_size=6)))] = True
    return taken, part


@given(grids())
def test_the_first_origin_is_where_a_box_tried_place_by_place_covers_nothing_taken(case):
    taken, part = case
    free = [
        origin
        for origin in itertools.product(*(range(e - p + 1) for e, p in zip(taken.shape, part, strict=True)))
        if not taken[tuple(slice(o, o + p) for o, p in zip(origin, part, strict=True))].any()
    ]
    assert free_origin(taken, part) == (free[0] if free else None)


@given(grids(), st.data())
def test_a_box_has_as_many_live_nodes_as_the_job_needs(case, data):
    dead, _ = case
    axes = [NetworkAxis(name=str(i), extent=extent, wrap=False) for i, extent in enumerate(dead.shape)]
    live = int((~dead).sum())
    if live:
        nodes = data.draw(st.integers(1, live))
        found = box(axes, nodes, live=~dead)
        within = (~dead)[tuple(map(slice, found))].sum()
        corners = itertools.product(*(range(1, extent + 1) for extent in dead.shape))
        exact = any((~dead)[tuple(map(slice, corner))].sum() == nodes for corner in corners)
        assert within == nodes if exact else within > nodes
    with pytest.raises(ValueError, match=f"do not fit axes with {live} nodes"):
        box(axes, live + 1, live=~dead)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3), st.lists(st.integers(1, 4), min_size=1, max_size=4))
def test_a_shape_is_spread_over_axes_in_their_order_with_ones_between(shape, extents):
    expected = {
        each
        for each in itertools.product(*(range(1, extent + 1) for extent in extents))
        if [part for part in each if part > 1] == [part for part in shape if part > 1] and len(shape) <= len(extents)
    }
    found = spread(tuple(shape), tuple(extents))
    assert set(found) <= expected
    assert len(set(found)) == len(found)
    if 1 not in shape:
        assert set(found) == expected
