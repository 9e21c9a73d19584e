import dataclasses
import math

import numpy as np
import pytest
from fujimi_core.errors import MachineError
from fujimi_sim.network.tofu import PLANES, Tofu, fold
from fujimi_sim.network.torus import Torus
from hypothesis import given, settings
from hypothesis import strategies as st

UNITS = (24, 23, 24)


@pytest.fixture
def tofu(fugaku):
    return Tofu.of(fugaku)


def shaped(tofu, *shape):
    return tofu.allocate(math.prod(shape), shape=shape)


def hops_along(part, axis, step):
    """Hops of a message from each node to the next one on an axis of the job, and the messages on the fullest link."""
    grid = part.nodes.reshape(part.shape)
    routes = part.routes(grid.ravel(), np.roll(grid, -step, axis=axis).ravel())
    return routes.hops, max(int(each.messages.max()) for each in routes.links)


@pytest.mark.parametrize(
    "shape",
    [
        (2, 2, 2),
        (4, 4, 4),
        (8, 8, 8),
        (4, 6, 16),
        (48, 6, 48),
        (48, 12, 48),
        (48, 69, 48),
        (64, 64),
        (32, 256),
        (13_824,),
        (6, 5, 4),
        (2, 7, 6),
        (27, 64),
        (13,),
        (4_097,),
    ],
)
def test_neighbours_on_the_axes_of_a_job_are_one_hop_apart_the_last_and_first_too(tofu, shape):
    part = shaped(tofu, *shape)
    assert part.shape == shape
    for axis in range(len(shape)):
        for step in (1, -1):
            hops, fullest = hops_along(part, axis, step)
            assert set(hops.tolist()) == {1}
            assert fullest == 1


@pytest.mark.parametrize(
    ("shape", "extents"),
    [
        ((2, 2, 2), (1, 1, 1)),
        ((4, 4, 4), (2, 2, 2)),
        ((8, 8, 8), (4, 3, 4)),
        ((4, 6, 16), (2, 2, 8)),
        ((48, 6, 48), (24, 2, 24)),
        ((48, 12, 48), (24, 4, 24)),
        ((48, 69, 48), UNITS),
        ((1, 1, 1), (1, 1, 1)),
        ((3, 1, 2), (2, 1, 1)),
    ],
)
def test_a_job_gets_the_fewest_whole_units_that_hold_its_shape(tofu, shape, extents):
    part = shaped(tofu, *shape)
    assert part.extents == (*extents, 2, 3, 2)
    assert part.count == len(np.unique(part.nodes)) == math.prod(shape)


@pytest.mark.parametrize("shape", [(64, 64), (32, 256), (13_824,), (144, 1_104), (48, 3_312), (158_976,)])
def test_jobs_of_fewer_axes_get_whole_units_and_few_more_than_they_need(tofu, shape):
    part = shaped(tofu, *shape)
    assert part.extents[3:] == (2, 3, 2)
    assert math.prod(shape) <= math.prod(part.extents) <= 1.07 * math.prod(shape)


def test_a_ring_runs_out_on_one_side_of_the_unit_and_back_on_the_other(tofu):
    part = shaped(tofu, 4, 4, 1)
    places = part.coordinates(part.nodes).reshape(6, 4, 4)
    assert places[[0, 3], :, 0].T.tolist() == [[0, 0], [1, 0], [1, 1], [0, 1]]
    assert places[[1, 4], 0, :].T.tolist() == [[0, 0], [1, 0], [1, 1], [0, 1]]


def test_nodes_are_in_rank_order_with_the_last_extent_fastest(tofu):
    part = shaped(tofu, 4, 6, 16)
    places = part.coordinates(part.nodes).reshape(6, 4, 6, 16)
    for axis, physical in enumerate(([0, 3], [1, 4], [2, 5])):
        others = tuple(each for each in range(3) if each != axis)
        along = places[physical]
        assert (along == along.max(axis=tuple(each + 1 for each in others), keepdims=True)).all()


def test_an_odd_extent_without_a_ring_of_three_closes_with_two_hops(tofu):
    hops, _ = hops_along(shaped(tofu, 5, 3, 2), 0, 1)
    assert sorted(set(hops.tolist())) == [1, 2]
    assert (hops == 2).sum() == 3 * 2


def test_a_shape_is_rotated_only_if_it_does_not_fit_as_it_is():
    assert fold((48, 48, 69), UNITS) == ((24, 23, 24), ((3, 0), (5, 2), (4, 1)))
    assert fold((69, 48, 48), UNITS).units == (24, 23, 24)
    assert fold((6, 48, 2), UNITS) == ((3, 16, 1), ((3, 0), (4, 1), (5, 2)))


def test_a_rotated_job_sees_the_shape_that_it_asked_for(tofu):
    part = shaped(tofu, 69, 48, 48)
    assert part.shape == (69, 48, 48)
    assert set(hops_along(part, 0, 1)[0].tolist()) == {1}


@pytest.mark.parametrize("shape", [(70, 2, 2), (49, 49, 2), (49, 2, 49), (1, 70, 1), (40, 3_313), (2, 2, 2, 2)])
def test_a_shape_that_does_not_fit_is_refused_with_the_limits(tofu, shape):
    with pytest.raises(MachineError) as refused:
        shaped(tofu, *shape)
    assert "x".join(map(str, shape)) in str(refused.value)
    assert "48x69x48" in str(refused.value)


@pytest.mark.parametrize(("nodes", "shape"), [(12, (2, 2, 2)), (0, (0, 2)), (4, (-2, -2)), (1, ())])
def test_a_shape_of_another_number_of_nodes_is_refused(tofu, nodes, shape):
    with pytest.raises(MachineError, match=f"{nodes} nodes cannot have the shape"):
        tofu.allocate(nodes, shape=shape)


@pytest.mark.parametrize(
    ("nodes", "shape"), [(12, (2, 3, 2)), (64, (4, 4, 4)), (13_824, (48, 6, 48)), (158_976, (48, 69, 48))]
)
def test_a_job_that_fills_a_box_sees_three_axes_without_asking(tofu, nodes, shape):
    part = tofu.allocate(nodes)
    assert part.shape == shape
    assert part.nodes.tolist() == tofu.allocate(nodes, shape=shape).nodes.tolist()
    assert part.allocate(nodes).shape == shape


@pytest.mark.parametrize("nodes", [5_000, 10_007])
def test_a_job_that_fills_no_box_gets_what_it_gets_on_a_torus(fugaku, tofu, nodes):
    mine, torus = tofu.allocate(nodes), Torus.of(fugaku).allocate(nodes)
    assert set(mine.nodes.tolist()) == set(torus.nodes.tolist())


def test_links_between_units_wrap_only_where_a_job_has_the_whole_axis(tofu):
    wraps = {axis.name: axis.wrap for axis in shaped(tofu, 48, 6, 16).axes}
    assert wraps == {"x": True, "y": False, "z": False, "a": False, "b": True, "c": False}


def test_a_job_with_a_shape_stays_as_it_is_when_asked_again(tofu):
    part = shaped(tofu, 4, 4, 4)
    assert part.allocate(64) is part
    assert part.allocate(64, shape=(4, 4, 4)) is part
    assert part.allocate(10).nodes.tolist() == part.nodes[:10].tolist()
    assert part.allocate(10).shape == (10,)
    with pytest.raises(MachineError, match="ask the whole machine"):
        part.allocate(64, shape=(64,))


def test_traffic_may_pass_through_nodes_of_its_units_that_a_job_does_not_use(tofu):
    part = shaped(tofu, 3, 1, 1)
    # Of X = 0 and 1 with a = 0 and 1 the ring of three leaves out X = 0 with a = 1. X goes first: from the last node,
    # X = 1 with a = 1, the way back to the first is through the node left out.
    assert part.coordinates(part.nodes)[[0, 3]].T.tolist() == [[0, 0], [1, 0], [1, 1]]
    routes = part.routes(part.nodes[2:], part.nodes[:1])
    links = {each.name: each.messages for each in routes.links}
    assert routes.hops.tolist() == [2]
    assert links["-x"][1, 0, 0, 1, 0, 0] == links["-a"][0, 0, 0, 1, 0, 0] == 1


def test_machines_that_are_no_tofu_are_refused(machine_of, fugaku):
    with pytest.raises(MachineError, match="six axes X, Y, Z, a, b, c"):
        Tofu.of(machine_of(4, 4))
    axes = tuple(dataclasses.replace(axis, unit=False) for axis in fugaku.network.axes)
    with pytest.raises(MachineError, match="unit = true"):
        Tofu.of(dataclasses.replace(fugaku, network=dataclasses.replace(fugaku.network, axes=axes)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=3))
def test_every_shape_is_folded_over_every_physical_axis_in_units_that_hold_it(shape):
    folded = fold(tuple(shape), UNITS)
    assert folded is not None
    assert all(mine <= most for mine, most in zip(folded.units, UNITS, strict=True))
    assert 12 * math.prod(folded.units) >= math.prod(shape)
    used = [axis for axes in folded.layout for axis in axes]
    assert sorted(used) == list(range(6))


@pytest.mark.parametrize("layout", PLANES)
def test_planes_use_every_physical_axis_once(layout):
    assert sorted(axis for axes in layout for axis in axes) == list(range(6))


def test_a_shape_avoids_units_with_dead_nodes(fugaku):
    network = dataclasses.replace(fugaku.network, dead_nodes=(5,))
    part = shaped(Tofu.of(dataclasses.replace(fugaku, network=network)), 4, 6, 16)
    assert 5 not in part.nodes
    assert part.origin == (0, 0, 1, 0, 0, 0)
    for axis in range(3):
        assert set(hops_along(part, axis, 1)[0].tolist()) == {1}


def test_a_shape_that_needs_a_dead_node_is_refused(fugaku):
    network = dataclasses.replace(fugaku.network, dead_nodes=(5,))
    with pytest.raises(MachineError, match=r"dead nodes .* 48x68x48"):
        shaped(Tofu.of(dataclasses.replace(fugaku, network=network)), 48, 68, 48)


def test_a_node_has_ten_ports(tofu):
    routes = tofu.routes(np.full(tofu.count - 1, 0), np.arange(1, tofu.count))
    assert sum(bool(links.messages.flat[0]) for links in routes.links) == 10


def test_machines_can_name_it(plugins, fugaku):
    network = dataclasses.replace(fugaku.network, topology="tofu")
    assert isinstance(plugins.topology(dataclasses.replace(fugaku, network=network)), Tofu)
