import numpy as np
import pytest
from fujimi_core.workload import CollectiveKind
from fujimi_sim.network.collectives.whole_job import inside_nodes, leaders, on_the_job
from fujimi_sim.network.torus import Torus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

shapes = st.lists(st.integers(1, 4), min_size=2, max_size=3).map(tuple)
of_a_fixture = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def job(machine_of):
    """A torus with the shape of the job; nodes are then in C order."""

    def part(*shape, devices=1):
        several = {"devices": devices, "peer_bandwidth_bytes_per_s": 50e9} if devices > 1 else {}
        machine = machine_of(*shape, **several)
        return Torus.of(machine).allocate(machine.nodes, shape=shape)

    return part


def everyone(part):
    devices = part.machine.node.devices
    return (part.nodes[:, None] * devices + np.arange(devices)).reshape(1, -1)


def test_the_whole_job_stands_on_its_grid_without_axes_of_one(job):
    part = job(2, 1, 4)
    members, shape = on_the_job(everyone(part), part)
    assert shape == (2, 4)
    assert members.tolist() == [list(range(8))]


@of_a_fixture
@given(shape=shapes, seed=st.integers(0, 100))
def test_the_first_member_comes_first_and_neighbours_stay_neighbours(job, shape, seed):
    part = job(*shape)
    shuffled = np.random.default_rng(seed).permutation(everyone(part)[0])
    members, grid = on_the_job(shuffled[None], part)
    assert members[0, 0] == shuffled[0]
    assert sorted(members[0].tolist()) == sorted(shuffled.tolist())
    extents = np.array(shape)
    # Rotated: all are as far from the first member as their place on the grid says.
    from_first = (part.coordinates(members[0]) - part.coordinates(members[0, :1])) % extents[:, None]
    places = np.stack(np.unravel_index(np.arange(members.size), shape))
    assert np.array_equal(from_first, places)
    assert grid == (tuple(extent for extent in shape if extent > 1) or (1,))


@pytest.mark.parametrize("first", [0, 5, 11])
def test_ranks_of_a_node_stand_next_to_each_other_on_the_last_axis(job, first):
    part = job(2, 3, devices=2)
    members, shape = on_the_job(np.roll(everyone(part), -first, axis=1), part)
    assert shape == (2, 6)
    assert members[0, 0] == first
    assert (members.reshape(-1, 2) // 2 == members.reshape(-1, 2)[:, :1] // 2).all()


@pytest.mark.parametrize("devices", [1, 4])
def test_leaders_are_one_rank_of_each_node_the_first_member_first(job, devices):
    part = job(3, 2, 2, devices=devices)
    for first in range(12 * devices):
        found, shape = leaders(np.roll(everyone(part), -first, axis=1), part)
        assert shape == (3, 2, 2)
        assert found[0, 0] == first
        assert sorted((found[0] // devices).tolist()) == list(range(12))


@pytest.mark.parametrize(
    "groups",
    [
        np.arange(8)[None, :6],
        np.arange(8).reshape(2, 4),
        np.array([[0, 1, 2, 3, 4, 5, 6, 6]]),
        np.array([[8, 1, 2, 3, 4, 5, 6, 7]]),
    ],
    ids=["part of it", "two groups", "one twice", "somebody else"],
)
def test_other_groups_stay_in_their_order_and_stand_in_a_line(job, groups):
    part = job(2, 4)
    for placed in (on_the_job, leaders):
        members, shape = placed(groups, part)
        assert members is groups
        assert shape == (groups.shape[1],)
    assert inside_nodes(groups, part, CollectiveKind.ALL_REDUCE) == ([], [])


def test_a_job_of_one_node_has_one_axis_of_one(job):
    part = job(1, 1)
    assert on_the_job(everyone(part), part)[1] == leaders(everyone(part), part)[1] == (1,)


@pytest.mark.parametrize(
    ("kind", "before", "after"),
    [
        (CollectiveKind.ALL_REDUCE, 1, 1),
        (CollectiveKind.REDUCE, 1, 0),
        (CollectiveKind.BROADCAST, 0, 1),
    ],
)
def test_other_ranks_of_a_node_hand_in_before_and_get_the_result_after(job, kind, before, after):
    part = job(2, 2, devices=3)
    found = inside_nodes(everyone(part), part, kind)
    assert [len(phases) for phases in found] == [before, after]
    for phase in found[0]:
        assert phase.reduces
        assert phase.dst.tolist() == np.repeat([0, 3, 6, 9], 2).tolist()
        assert phase.src.tolist() == [1, 2, 4, 5, 7, 8, 10, 11]
    for phase in found[1]:
        assert not phase.reduces
        assert phase.src.tolist() == np.repeat([0, 3, 6, 9], 2).tolist()
        assert phase.dst.tolist() == [1, 2, 4, 5, 7, 8, 10, 11]


def test_nodes_of_one_rank_have_nothing_inside(job):
    part = job(2, 2)
    assert inside_nodes(everyone(part), part, CollectiveKind.ALL_REDUCE) == ([], [])


@pytest.mark.parametrize("devices", [1, 3])
@pytest.mark.parametrize("nodes", [64, 16])
def test_nodes_that_are_listed_in_a_snake_stand_on_the_grid_all_the_same(machine_of, devices, nodes):
    several = {"devices": devices, "peer_bandwidth_bytes_per_s": 50e9} if devices > 1 else {}
    part = Torus.of(machine_of(4, 4, 4, **several)).allocate(nodes)
    found, shape = leaders(everyone(part), part)
    places = part.coordinates(found[0])[:3]
    # Whatever the extents of the box: neighbours on the grid differ by one on one axis.
    grid = places.reshape(3, *shape)
    for axis in range(len(shape)):
        steps = np.abs(np.diff(grid, axis=axis + 1)).sum(axis=0)
        assert (steps == 1).all()
