import itertools
import math

import numpy as np
import pytest
from fujimi_core.machine import NetworkAxis
from fujimi_sim.network.allocation import box, box_axes, snake
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
