import numpy as np
import pytest
from fujimi_sim.network.cycles import closes, ladder, prism
from hypothesis import given
from hypothesis import strategies as st


def hops(way, extents, wraps):
    """Hops from each place of a way to the next, and from the last to the first."""
    apart = np.abs(way - np.roll(way, -1, axis=1))
    around = np.array(extents)[:, None] - apart
    return np.where(np.array(wraps)[:, None], np.minimum(apart, around), apart).sum(axis=0)


def distinct(way):
    return len(np.unique(way, axis=1).T) == way.shape[1]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=3), st.data())
def test_a_ladder_closes_with_one_hop_if_even_and_with_two_if_odd(extents, data):
    nodes = data.draw(st.integers(2, 2 * int(np.prod(extents))))
    way = ladder(tuple(extents), nodes)
    steps = hops(way, (2, *extents), [False] * (len(extents) + 1))
    assert way.shape == (len(extents) + 1, nodes)
    assert distinct(way)
    assert (steps[:-1] == 1).all()
    assert steps[-1] == 1 + nodes % 2
    assert closes(nodes, triangle=False) == (steps[-1] == 1)


@given(st.lists(st.integers(1, 5), max_size=2), st.data())
def test_a_ladder_with_a_triangle_closes_with_one_hop_whatever_its_length(extents, data):
    box = (*extents, 3)
    nodes = data.draw(st.integers(2, 2 * int(np.prod(box))))
    way = ladder(box, nodes, triangle=True)
    assert way.shape[1] == nodes
    assert distinct(way)
    assert (hops(way, (2, *box), [False] * len(box) + [True]) == 1).all()


@pytest.mark.parametrize("nodes", range(2, 70))
def test_a_prism_closes_with_one_hop_over_the_fewest_triangles(nodes):
    way = prism(nodes)
    rows = -(-nodes // 3)
    assert way.shape == (2, nodes)
    assert distinct(way)
    assert way[1].max() == rows - 1
    assert (hops(way, (3, rows), [True, False]) == 1).all()


def test_one_node_is_a_way():
    assert ladder((4,), 1).tolist() == [[0], [0]]
    assert prism(1).tolist() == [[0], [0]]
