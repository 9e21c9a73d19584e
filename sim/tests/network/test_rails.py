import dataclasses

import numpy as np
import pytest
from fujimi_core.errors import MachineError
from fujimi_core.machine import Levels
from fujimi_sim.network.loads import load
from fujimi_sim.network.rails import Rails


@pytest.fixture
def rails_of(machine_of):
    def rails(nodes, down, up=(), *, devices=4, interfaces=4):
        machine = machine_of(
            nodes,
            topology="rails",
            link=2.0,
            devices=devices,
            interfaces=interfaces,
            interface_bandwidth_bytes_per_s=2.0,
            injection_bandwidth_bytes_per_s=8.0,
            peer_bandwidth_bytes_per_s=100.0,
        )
        network = dataclasses.replace(machine.network, axes=(), levels=Levels(down=down, up=up))
        return Rails.of(dataclasses.replace(machine, network=network))

    return rails


def used(routes):
    return {each.name: int(each.messages.sum()) for each in routes.links}


def test_the_same_devices_of_an_island_are_two_links_apart(rails_of):
    rails = rails_of(16, (4, 4), (4,))
    everyone = np.arange(64)
    routes = rails.routes(everyone, everyone // 16 * 16 + (everyone + 4) % 16)
    assert set(routes.hops.tolist()) == {2}
    assert used(routes) == {"rail out": 64, "rail in": 64, "level 1 up": 0, "level 1 down": 0}


@pytest.mark.parametrize("dst", [5, 16, 17])
def test_other_devices_and_other_islands_are_reached_over_the_next_level(rails_of, dst):
    routes = rails_of(16, (4, 4), (4,)).routes(np.array([0]), np.array([dst]))
    assert routes.hops.tolist() == [4]
    assert used(routes) == {"rail out": 1, "rail in": 1, "level 1 up": 1, "level 1 down": 1}


def test_pods_of_islands_meet_one_level_higher(rails_of):
    rails = rails_of(16, (2, 4, 2), (2, 8))
    # Node 1 shares the island with node 0, node 7 the pod, node 8 neither; device 0 of each.
    assert rails.routes(np.zeros(3, np.int64), np.array([4, 28, 32])).hops.tolist() == [2, 4, 6]


def test_messages_of_one_device_share_its_interface_and_leave_the_others_idle(rails_of):
    rails = rails_of(16, (16,))
    found = load(rails, np.zeros(4, np.int64), np.array([4, 8, 12, 16]))
    assert (found.bottleneck, found.busy_s_per_byte) == ("link rail out", 4 / 2.0)
    found = load(rails, np.arange(4), np.arange(4) + 4)
    assert found.busy_s_per_byte == 1 / 2.0


def test_each_rail_has_its_own_links_up(rails_of):
    rails = rails_of(8, (4, 2), (1,))
    # All devices of node 0 to those of the other island: one message on the one link of each rail.
    routes = rails.routes(np.arange(4), np.arange(4) + 16)
    up = next(each.messages for each in routes.links if each.name == "level 1 up")
    assert up.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    # Device 0 of all nodes of an island: four on that of its rail.
    routes = rails.routes(np.arange(4) * 4, np.arange(4) * 4 + 16)
    up = next(each.messages for each in routes.links if each.name == "level 1 up")
    assert up.tolist() == [4, 0, 0, 0, 0, 0, 0, 0]


def test_messages_inside_a_node_use_no_interface(rails_of):
    routes = rails_of(4, (4,)).routes(np.array([0, 1]), np.array([3, 1]))
    assert routes.hops.tolist() == [0, 0]
    assert used(routes) == {"rail out": 0, "rail in": 0}


def test_rails_that_do_not_meet_have_no_way_from_one_to_the_other(rails_of):
    with pytest.raises(MachineError, match="from device 1 of node 0 to device 2 of node 3"):
        rails_of(4, (4,)).routes(np.array([0, 1]), np.array([4, 14]))


def test_each_device_needs_an_interface(rails_of):
    with pytest.raises(MachineError, match="2 interfaces and 4 devices"):
        rails_of(4, (4,), interfaces=2)


def test_machines_can_name_it(plugins, rails_of):
    assert isinstance(plugins.topology(rails_of(16, (4, 4), (4,)).machine), Rails)
