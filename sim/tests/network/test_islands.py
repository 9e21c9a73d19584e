import numpy as np
import pytest
from fujimi_core.errors import MachineError
from fujimi_sim.network.islands import NonBlocking
from fujimi_sim.network.loads import load as load_of


@pytest.fixture
def machine(machine_of):
    return machine_of(
        16,
        topology="nonblocking",
        devices=4,
        peer_bandwidth_bytes_per_s=200.0,
        interfaces=2,
        interface_bandwidth_bytes_per_s=25.0,
        injection_bandwidth_bytes_per_s=50.0,
    )


def test_any_permutation_of_nodes_takes_as_long_as_one_message(machine):
    network = NonBlocking.of(machine)
    devices = np.arange(0, 64, 4)
    one = load_of(network, devices[:1], devices[1:2])
    everyone = load_of(network, devices, np.roll(devices[::-1], 5))
    assert (one.busy_s_per_byte, one.hops) == (everyone.busy_s_per_byte, everyone.hops)
    assert one.busy_s_per_byte == 1 / 25


def test_devices_of_a_node_share_its_interfaces(machine):
    load = load_of(NonBlocking.of(machine), np.arange(4), np.arange(4) + 8)
    assert load.busy_s_per_byte == 4 / 50
    assert load.hops == 2


def test_messages_inside_a_node_are_as_fast_as_its_links(machine):
    load = load_of(NonBlocking.of(machine), np.arange(4), np.roll(np.arange(4), 1))
    assert (load.bottleneck, load.busy_s_per_byte, load.hops) == ("peer", 1 / 200, 0)


def test_coordinates_are_node_and_device(machine):
    assert NonBlocking.of(machine).coordinates(np.array([0, 7, 63])).T.tolist() == [[0, 0], [1, 3], [15, 3]]


def test_a_job_gets_the_first_nodes(machine):
    part = NonBlocking.of(machine).allocate(3)
    assert part.nodes.tolist() == [0, 1, 2]
    assert part.axes[0].extent == 3
    with pytest.raises(MachineError, match="4 of 3 nodes"):
        part.allocate(4)
