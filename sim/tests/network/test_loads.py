import dataclasses

import numpy as np
import pytest
from fujimi_sim.network.islands import NonBlocking
from fujimi_sim.network.loads import interface_demands, load, peer_demands


@pytest.fixture
def machine(machine_of):
    return machine_of(4, interfaces=2, interface_bandwidth_bytes_per_s=10.0, injection_bandwidth_bytes_per_s=15.0)


@pytest.fixture
def node(machine):
    return machine.node


@pytest.fixture
def load_of(machine):
    return lambda src, dst: load(NonBlocking.of(machine), np.array(src, np.int64), np.array(dst, np.int64))


def test_one_message_is_no_faster_than_one_interface(load_of):
    busiest = load_of([0], [1])
    assert busiest.bottleneck == "interface"
    assert busiest.busy_s_per_byte == pytest.approx(1 / 10)


def test_two_messages_of_a_node_share_what_it_can_inject(load_of):
    busiest = load_of([0, 0], [1, 2])
    assert busiest.bottleneck == "injection"
    assert busiest.busy_s_per_byte == pytest.approx(2 / 15)


def test_a_third_message_waits_for_one_of_two_interfaces(node):
    demands = interface_demands(np.array([0, 0, 0]), np.array([1, 2, 3]), node)
    assert demands["interface"] == pytest.approx(2 / 10)


def test_messages_to_one_node_share_what_it_can_take_in(load_of):
    busiest = load_of([1, 2, 3], [0, 0, 0])
    assert busiest.bottleneck in ("ejection", "interface")
    assert busiest.busy_s_per_byte == pytest.approx(3 / 15)


def test_devices_of_a_node_send_at_the_speed_between_them(node):
    pair = dataclasses.replace(node, devices=4, peer_bandwidth_bytes_per_s=50.0)
    assert peer_demands(np.array([0, 0, 1]), np.array([1, 2, 2]), pair) == {"peer": 2 / 50}


def test_no_messages_ask_for_nothing(load_of):
    nothing = load_of([], [])
    assert (nothing.busy_s_per_byte, nothing.bottleneck, nothing.operations) == (0.0, "nothing", 0)


def test_operations_are_what_one_endpoint_sends_and_receives(load_of):
    ping, exchange, neighbours = load_of([0], [1]), load_of([0, 1], [1, 0]), load_of([0, 0, 1, 2], [1, 2, 0, 0])
    assert [each.operations for each in (ping, exchange, neighbours)] == [1, 2, 4]
    assert neighbours.received == 2
