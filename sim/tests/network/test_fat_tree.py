import dataclasses
import math
from collections import Counter

import numpy as np
import pytest
from fujimi_core.errors import MachineError
from fujimi_core.machine import Levels
from fujimi_sim.network.fat_tree import FatTree
from fujimi_sim.network.loads import load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture
def tree_of(machine_of):
    def tree(nodes, down, up=(), **node):
        machine = machine_of(nodes, topology="fat_tree", link=1.0, **node)
        network = dataclasses.replace(machine.network, axes=(), levels=Levels(down=down, up=up))
        return FatTree.of(dataclasses.replace(machine, network=network))

    return tree


def one_by_one(pairs, down, up, devices):
    """Links of each message by climbing step by step until both ends are under one switch."""
    crossed, hops = Counter(), []
    for src, dst in pairs:
        here, there = src // devices, dst // devices
        climbed = 0 if here == there else 2
        for level, below in enumerate(down):
            here, there = here // below, there // below
            if here == there:
                break
            crossed[level, "up", here, dst % up[level]] += 1
            crossed[level, "down", there, dst % up[level]] += 1
            climbed += 2
        hops.append(climbed)
    return crossed, hops


@st.composite
def trees(draw):
    down = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
    up = tuple(draw(st.lists(st.integers(1, 5), min_size=len(down) - 1, max_size=len(down) - 1)))
    devices = draw(st.integers(1, 3))
    nodes = draw(st.integers(1, math.prod(down)))
    ends = st.integers(0, nodes * devices - 1)
    return nodes, down, up, devices, draw(st.lists(st.tuples(ends, ends), min_size=1, max_size=40))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trees())
def test_every_link_has_the_messages_that_climb_over_it_one_by_one(tree_of, case):
    nodes, down, up, devices, pairs = case
    tree = tree_of(nodes, down, up, devices=devices, peer_bandwidth_bytes_per_s=1.0)
    routes = tree.routes(*(np.array(ends) for ends in zip(*pairs, strict=True)))
    counted = Counter()
    for links in routes.links:
        _, level, way = links.name.split()
        for number in np.flatnonzero(links.messages):
            switch, port = divmod(int(number), up[int(level) - 1])
            counted[int(level) - 1, way, switch, port] = int(links.messages[number])
    assert (counted, routes.hops.tolist()) == one_by_one(pairs, down, up, devices)


def test_a_full_tree_does_not_block_a_shift(tree_of):
    tree = tree_of(64, (8, 8), (8,))
    everyone = np.arange(64)
    for distance in range(1, 64):
        routes = tree.routes(everyone, np.roll(everyone, distance))
        assert max(int(each.messages.max()) for each in routes.links) <= 1


@pytest.mark.parametrize("taper", [1, 2, 4, 8])
def test_a_tapered_tree_is_slower_by_its_taper(tree_of, taper):
    tree = tree_of(64, (8, 8), (8 // taper,))
    everyone = np.arange(64)
    found = load(tree, everyone, np.roll(everyone, 32))
    assert (found.busy_s_per_byte, found.hops) == (taper, 4)
    assert found.bottleneck == "link level 1 up"


def test_messages_under_one_leaf_switch_use_no_link_of_the_tree(tree_of):
    tree = tree_of(64, (8, 8), (1,))
    everyone = np.arange(64)
    routes = tree.routes(everyone, everyone ^ 1)
    assert set(routes.hops.tolist()) == {2}
    assert not any(each.messages.any() for each in routes.links)


def test_destinations_with_the_same_remainder_share_a_link_as_static_routes_do(tree_of):
    tree = tree_of(64, (8, 8), (8,))
    src = np.arange(8)
    # All to node 0 of another leaf switch each: remainder 0 of 8, one link up for seven of them.
    routes = tree.routes(src[:7], 8 + 8 * np.arange(7))
    links = {each.name: each.messages for each in routes.links}
    assert links["level 1 up"].max() == 7
    assert links["level 1 down"].max() == 1


def test_a_job_gets_the_first_nodes_and_whole_leaf_switches_first(tree_of):
    part = tree_of(64, (8, 4, 2), (8, 8)).allocate(20)
    assert part.nodes.tolist() == list(range(20))
    assert [(axis.name, axis.extent) for axis in part.axes] == [("level2", 1), ("level1", 3), ("node", 8)]
    assert part.coordinates(np.array([0, 19])).T.tolist() == [[0, 0, 0], [0, 2, 3]]


def test_devices_are_the_last_axis(tree_of):
    tree = tree_of(16, (4, 4), (4,), devices=2, peer_bandwidth_bytes_per_s=1.0)
    assert [axis.name for axis in tree.axes] == ["level1", "node", "device"]
    assert tree.coordinates(np.array([31])).T.tolist() == [[3, 3, 1]]


@pytest.mark.parametrize("levels", [None, Levels(down=(4, 3), up=(4,))])
def test_a_tree_needs_levels_with_room_for_all_nodes(machine_of, levels):
    machine = machine_of(16, topology="fat_tree")
    network = dataclasses.replace(machine.network, axes=(), levels=levels)
    with pytest.raises(MachineError, match=r"16 nodes needs network\.levels"):
        FatTree.of(dataclasses.replace(machine, network=network))


def test_machines_can_name_it(plugins, tree_of):
    assert isinstance(plugins.topology(tree_of(16, (4, 4), (4,)).machine), FatTree)
