import dataclasses

import numpy as np
import pytest
from fujimi_sim.network.interfaces import interface_demands, peer_demands, worst


@pytest.fixture
def node(machine_of):
    return machine_of(4, interfaces=2, interface_bandwidth_bytes_per_s=10.0, injection_bandwidth_bytes_per_s=15.0).node


def test_one_message_is_no_faster_than_one_interface(node):
    load = worst(interface_demands(np.array([0]), np.array([1]), node), hops=0)
    assert load.bottleneck == "interface"
    assert load.busy_s_per_byte == pytest.approx(1 / 10)


def test_two_messages_of_a_node_share_what_it_can_inject(node):
    load = worst(interface_demands(np.array([0, 0]), np.array([1, 2]), node), hops=0)
    assert load.bottleneck == "injection"
    assert load.busy_s_per_byte == pytest.approx(2 / 15)


def test_a_third_message_waits_for_one_of_two_interfaces(node):
    demands = interface_demands(np.array([0, 0, 0]), np.array([1, 2, 3]), node)
    assert demands["interface"] == pytest.approx(2 / 10)


def test_messages_to_one_node_share_what_it_can_take_in(node):
    load = worst(interface_demands(np.array([1, 2, 3]), np.array([0, 0, 0]), node), hops=0)
    assert load.bottleneck in ("ejection", "interface")
    assert load.busy_s_per_byte == pytest.approx(3 / 15)


def test_devices_of_a_node_send_at_the_speed_between_them(node):
    pair = dataclasses.replace(node, devices=4, peer_bandwidth_bytes_per_s=50.0)
    assert peer_demands(np.array([0, 0, 1]), np.array([1, 2, 2]), pair) == {"peer": 2 / 50}


def test_no_messages_ask_for_nothing(node):
    none = np.array([], np.int64)
    load = worst(interface_demands(none, none, node) | peer_demands(none, none, node), hops=0)
    assert (load.busy_s_per_byte, load.bottleneck) == (0.0, "nothing")
