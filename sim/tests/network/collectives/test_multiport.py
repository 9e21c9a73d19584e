import numpy as np
import pytest
from fujimi_core.workload import CollectiveKind
from fujimi_sim.network.collectives.bucket import AxisRings, Bucket
from fujimi_sim.network.collectives.multiport import MultiportBucket, stage_shares
from fujimi_sim.network.timing import phases_cost
from fujimi_sim.network.torus import Torus

TOFU = {"link": 6.8e9, "interface_bandwidth_bytes_per_s": 6.8e9, "injection_bandwidth_bytes_per_s": 38.1e9}


def cost_of(algorithm, machine, kind=CollectiveKind.ALL_GATHER):
    torus = Torus.of(machine)
    phases = algorithm.phases(kind, np.arange(machine.nodes)[None], topology=torus)
    return phases_cost(phases, torus)


def axis(members, *, both_ways=False):
    return AxisRings(rings=np.arange(members)[None], both_ways=both_ways, cost_s_per_byte=1.0)


def test_each_part_is_reduced_along_every_axis():
    # Three parts of 1/3; a half of each goes first, then a half of what is left, and so on.
    assert stage_shares([axis(2), axis(2), axis(2)]) == pytest.approx([1 / 6, 1 / 12, 1 / 24])


def test_a_stage_takes_as_long_as_its_largest_part():
    # First stage: 1/2 of 3/4 both ways or 1/2 of 1/2 one way; second: 1/8 of 1/2 or 1/4 of 3/4 both ways.
    assert stage_shares([axis(4, both_ways=True), axis(2)]) == pytest.approx([1 / 4, 3 / 32])


@pytest.mark.parametrize("axes", [2, 3])
def test_a_cube_is_as_many_times_faster_as_it_has_axes(machine_of, axes):
    machine = machine_of(*[4] * axes, **TOFU)
    plain, many = cost_of(Bucket(), machine), cost_of(MultiportBucket(), machine)
    slower = max(1.0, 2 * axes * 6.8e9 / 38.1e9)  # six links are a little more than a node can inject
    assert many.seconds(1e12) * axes == pytest.approx(plain.seconds(1e12) * slower, rel=1e-6)


def test_no_more_axes_turn_than_a_node_has_interfaces_for(machine_of):
    machine = machine_of(2, 2, 2, 2, wrap=False, **(TOFU | {"interfaces": 1, "injection_bandwidth_bytes_per_s": 6.8e9}))
    # One interface is busy whatever turns: nothing is faster than to pass on all that is missing, once.
    assert cost_of(MultiportBucket(), machine).seconds(1e12) >= 15 / 16 * 1e12 / 6.8e9


def test_an_all_reduce_is_a_reduce_scatter_and_an_all_gather(machine_of):
    machine = machine_of(4, 3, 2, wrap=(True, True, False))
    parts = [CollectiveKind.REDUCE_SCATTER, CollectiveKind.ALL_GATHER]
    both_s = sum(cost_of(MultiportBucket(), machine, kind).seconds(1e6) for kind in parts)
    assert cost_of(MultiportBucket(), machine, CollectiveKind.ALL_REDUCE).seconds(1e6) == pytest.approx(both_s)


@pytest.mark.parametrize("groups", [np.arange(4)[None], np.array([[0, 1, 5, 6]]), np.arange(16)[:, None]])
def test_groups_that_do_not_span_a_grid_of_several_axes_are_not_served(machine_of, groups):
    phases = MultiportBucket().phases(CollectiveKind.ALL_REDUCE, groups, topology=Torus.of(machine_of(4, 4)))
    assert phases is None
