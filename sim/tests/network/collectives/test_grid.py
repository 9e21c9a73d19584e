import numpy as np
import pytest
from fujimi_sim.network.collectives.grid import grid
from fujimi_sim.network.torus import Torus


@pytest.fixture
def torus(machine_of):
    return Torus.of(machine_of(4, 6, wrap=(False, True)))


def node(*places):
    return [6 * x + y for x, y in places]


def test_members_may_be_in_any_order(torus):
    found = grid(np.array([node((1, 1), (0, 0), (1, 0), (0, 1))]), torus)
    assert found is not None
    assert found.endpoints.tolist() == [[node((0, 0), (0, 1)), node((1, 0), (1, 1))]]
    assert found.lines(0).tolist() == [node((0, 0), (1, 0)), node((0, 1), (1, 1))]


def test_axes_along_which_a_group_does_not_extend_are_left_out(torus):
    found = grid(np.array([node((2, 0), (2, 3)), node((1, 1), (1, 4))]), torus)
    assert found is not None
    assert [axis.name for axis in found.axes] == ["y"]


@pytest.mark.parametrize(
    "places",
    [
        [(0, 0), (0, 1), (1, 0)],
        [(0, 0), (0, 1), (1, 1), (1, 2)],
    ],
)
def test_a_group_with_a_hole_is_on_no_grid(torus, places):
    assert grid(np.array([node(*places)]), torus) is None


def test_every_group_must_be_on_a_grid(torus):
    square, bent = node((0, 0), (0, 1), (1, 0), (1, 1)), node((2, 0), (2, 1), (3, 1), (3, 2))
    assert grid(np.array([square]), torus) is not None
    assert grid(np.array([square, bent]), torus) is None


@pytest.mark.parametrize(
    ("places", "closes"),
    [
        ([(0, y) for y in range(6)], True),
        ([(0, 0), (0, 2), (0, 4)], True),
        ([(0, 0), (0, 1), (0, 2)], False),
        ([(x, 0) for x in range(4)], False),
    ],
)
def test_a_line_closes_where_the_axis_wraps_and_no_gap_is_left(torus, places, closes):
    found = grid(np.array([node(*places)]), torus)
    assert found is not None
    assert found.closes(0) is closes
