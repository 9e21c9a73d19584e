import dataclasses

import numpy as np
import pytest
from fujimi_core.errors import MachineError
from fujimi_sim.network.damage import damage_of
from fujimi_sim.network.packet_network import links_on_route
from fujimi_sim.network.torus import Torus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


def damaged(machine, *, nodes=(), links=()):
    network = dataclasses.replace(machine.network, dead_nodes=tuple(nodes), dead_links=tuple(links))
    return dataclasses.replace(machine, network=network)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.tuples(st.booleans(), st.booleans()), st.sets(st.integers(0, 19), max_size=4), st.integers(0, 2**31))
def test_messages_cross_what_a_router_meets_step_by_step(machine_of, wrap, dead, seed):
    machine = damaged(machine_of(4, 5, wrap=wrap), nodes=sorted(dead), links=[(6, 7)])
    axes = machine.network.axes
    everyone = np.arange(20)
    src, dst = everyone, np.random.default_rng(seed).permutation(20)
    places = np.array(np.unravel_index(src, (4, 5))), np.array(np.unravel_index(dst, (4, 5)))
    crossed = damage_of(machine, axes, (0, 0)).crossed(*places, (0, 1))
    for start, stop, found in zip(places[0].T, places[1].T, crossed, strict=True):
        met = False
        for place, axis, step in links_on_route(tuple(start), tuple(stop), axes):
            ahead = list(place)
            ahead[axis] = (ahead[axis] + step) % (4, 5)[axis]
            ends = {int(np.ravel_multi_index(tuple(each), (4, 5))) for each in (place, ahead)}
            met |= bool(ends & dead) or ends == {6, 7}
        assert met == found


def test_a_dead_link_between_two_nodes_that_have_two_is_both(machine_of):
    damage = damage_of(damaged(machine_of(2, 3), links=[(0, 3)]), machine_of(2, 3).network.axes, (0, 0))
    assert damage.neighbours[:2].tolist() == [[-1, 4, 5, -1, 1, 2]] * 2


def test_a_box_that_is_whole_has_no_damage(machine_of):
    machine = damaged(machine_of(4, 4), nodes=[15])
    assert not damage_of(machine, Torus.of(machine_of(2, 2)).axes, (0, 0)).any
    assert damage_of(machine, Torus.of(machine_of(2, 2)).axes, (2, 2)).any


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"nodes": [16]}, "node 16"),
        ({"links": [(3, 99)]}, "node 99"),
        ({"links": [(0, 5)]}, "no link joins the nodes 0 and 5"),
        ({"links": [(0, 2)]}, "no link joins the nodes 0 and 2"),
    ],
)
def test_a_machine_without_what_is_said_to_be_dead_is_refused(machine_of, damage, message):
    with pytest.raises(MachineError, match=message):
        Torus.of(damaged(machine_of(4, 4), **damage))
