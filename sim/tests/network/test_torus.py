import dataclasses

import numpy as np
import pytest
from fujimi_core.errors import MachineError
from fujimi_sim.network.loads import load as load_of
from fujimi_sim.network.torus import Torus


def test_a_link_is_the_bottleneck_of_messages_that_share_it(machine_of):
    load = load_of(Torus.of(machine_of(5, wrap=False, link=2.0)), np.array([0, 1]), np.array([3, 3]))
    assert (load.bottleneck, load.busy_s_per_byte, load.hops) == ("link +x", 1.0, 3)


def test_injection_is_the_bottleneck_of_a_node_that_sends_on_all_its_links(machine_of):
    machine = machine_of(
        5, 5, link=10.0, interfaces=4, interface_bandwidth_bytes_per_s=10.0, injection_bandwidth_bytes_per_s=20.0
    )
    load = load_of(Torus.of(machine), np.full(4, 12), np.array([7, 17, 11, 13]))
    assert (load.bottleneck, load.busy_s_per_byte) == ("injection", 4 / 20)


def test_a_message_to_itself_asks_for_nothing(machine_of):
    everyone = np.arange(9)
    load = load_of(Torus.of(machine_of(3, 3)), everyone, everyone)
    assert (load.busy_s_per_byte, load.hops, load.bottleneck) == (0.0, 0, "nothing")


def test_devices_of_one_node_use_no_link(machine_of):
    machine = machine_of(4, link=1.0, devices=2, peer_bandwidth_bytes_per_s=8.0)
    load = load_of(Torus.of(machine), np.array([0, 3]), np.array([1, 2]))
    assert (load.bottleneck, load.busy_s_per_byte, load.hops) == ("peer", 1 / 8, 0)


def test_devices_of_one_node_share_its_links(machine_of):
    machine = machine_of(4, link=1.0, devices=2, peer_bandwidth_bytes_per_s=8.0)
    load = load_of(Torus.of(machine), np.array([0, 1]), np.array([2, 3]))
    assert (load.bottleneck, load.busy_s_per_byte) == ("link +x", 2.0)


def test_devices_are_the_last_axis(machine_of):
    torus = Torus.of(machine_of(2, 3, devices=4, peer_bandwidth_bytes_per_s=8.0))
    assert [axis.name for axis in torus.axes] == ["x", "y", "device"]
    assert torus.coordinates(np.array([0, 23, 6])).T.tolist() == [[0, 0, 0], [1, 2, 3], [0, 1, 2]]


def test_axes_must_make_up_the_nodes(machine_of):
    machine = dataclasses.replace(machine_of(3, 4), nodes=13)
    with pytest.raises(MachineError, match=r"13 nodes.*\(3, 4\)"):
        Torus.of(machine)


def test_a_job_gets_a_box_and_nodes_of_the_whole_machine(machine_of):
    part = Torus.of(machine_of(4, 6, wrap=False)).allocate(4)
    assert part.extents == (2, 2)
    assert part.nodes.tolist() == [0, 1, 7, 6]


def test_a_job_without_an_exact_box_uses_the_first_nodes_in_order(machine_of):
    part = Torus.of(machine_of(4, 4)).allocate(7)
    assert part.extents == (2, 4)
    assert part.nodes.tolist() == [0, 1, 2, 3, 7, 6, 5]


def test_allocating_what_is_there_changes_nothing(machine_of):
    part = Torus.of(machine_of(4, 4)).allocate(7)
    assert part.allocate(7) == part


@pytest.mark.parametrize("nodes", [0, 17])
def test_a_job_gets_no_more_nodes_than_there_are(machine_of, nodes):
    with pytest.raises(MachineError, match=f"{nodes} of 16 nodes"):
        Torus.of(machine_of(4, 4)).allocate(nodes)


def test_traffic_of_a_job_stays_in_its_box(machine_of):
    whole = Torus.of(machine_of(6, 2))
    part = whole.allocate(10)
    first, last = np.array([0]), np.array([8])
    assert part.extents == (5, 2)
    assert load_of(whole, first, last).hops == 2
    assert load_of(part, first, last).hops == 4


def test_all_of_fugaku_is_routed_at_once(fugaku, pattern):
    torus = Torus.of(fugaku)
    everyone = np.arange(fugaku.nodes)
    links = {each.name: each.messages for each in torus.routes(everyone, pattern("half", fugaku.nodes)).links}
    # Half of the nodes is half of the first axis, with a tie that goes forward: 12 messages on each link of it.
    assert (links.pop("+x") == 12).all()
    assert not any(messages.any() for messages in links.values())


def test_a_job_can_ask_for_a_box(machine_of):
    part = Torus.of(machine_of(4, 6, 5, wrap=True)).allocate(12, shape=(4, 1, 3))
    assert (part.extents, part.shape) == ((4, 1, 3), (4, 1, 3))
    assert [axis.wrap for axis in part.axes] == [True, False, False]
    assert part.nodes.reshape(4, 3).tolist() == [[30 * x + z for z in range(3)] for x in range(4)]


def test_a_job_can_ask_for_fewer_extents_than_axes_if_only_one_box_has_them(machine_of):
    torus = Torus.of(machine_of(8, 4, 2))
    part = torus.allocate(24, shape=(6, 4))
    assert (part.extents, part.shape) == ((6, 4, 1), (6, 4))
    assert part.nodes.tolist() == [8 * x + 2 * y for x in range(6) for y in range(4)]
    with pytest.raises(MachineError, match="shape 4x2 could be any of the boxes 1x4x2, 4x1x2, 4x2x1"):
        torus.allocate(8, shape=(4, 2))


@pytest.mark.parametrize("shape", [(9, 1), (1, 5), (2, 2, 2)])
def test_a_shape_that_does_not_fit_is_refused_with_the_axes(machine_of, shape):
    with pytest.raises(MachineError, match=r"shape [0-9x]+ does not fit its axes x of 8, y of 4"):
        Torus.of(machine_of(8, 4)).allocate(int(np.prod(shape)), shape=shape)


def test_a_shape_has_the_nodes_that_are_asked_for(machine_of):
    with pytest.raises(MachineError, match=r"13 nodes cannot have the shape 3x4.*12"):
        Torus.of(machine_of(8, 4)).allocate(13, shape=(3, 4))


def test_a_job_with_a_shape_stays_as_it_is_when_asked_again(machine_of):
    part = Torus.of(machine_of(4, 4)).allocate(8, shape=(4, 2))
    assert part.allocate(8) is part
    assert part.allocate(8, shape=(4, 2)) is part
    assert part.allocate(4, shape=(2, 2)).nodes.tolist() == [0, 1, 4, 5]


def test_a_job_gets_only_nodes_of_the_job_of_which_it_is_a_part(machine_of):
    whole = Torus.of(machine_of(4, 4)).allocate(7)
    assert whole.allocate(4).nodes.tolist() == whole.nodes[:4].tolist()
    assert set(whole.allocate(2, shape=(2, 1)).nodes.tolist()) <= set(whole.nodes.tolist())
