import dataclasses
from collections import Counter

import numpy as np
import pytest
from fujimi_core.errors import MachineError
from fujimi_core.machine import Groups
from fujimi_sim.network.dragonfly import Dragonfly, hashed
from fujimi_sim.network.loads import load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st


@pytest.fixture
def dragonfly_of(machine_of):
    def dragonfly(total, *, devices=1, **groups):
        machine = machine_of(total, topology="dragonfly", link=1.0, devices=devices, peer_bandwidth_bytes_per_s=1.0)
        network = dataclasses.replace(machine.network, axes=(), groups=Groups(**groups))
        return Dragonfly.of(dataclasses.replace(machine, network=network))

    return dragonfly


class Wiring:
    """Links of a dragonfly as a cabling plan, and messages that go over it one by one."""

    def __init__(self, count, *, switches, links, local_links):
        self.switches, self.links, self.local_links = switches, links, local_links
        self.ends = {}
        for group in range(count):
            port = 0
            for distance in range(1, count):
                for link in range(links):
                    self.ends[group, (group + distance) % count, link] = port % switches
                    port += 1
        self.crossed = Counter()

    def local(self, group, here, there, dst):
        if here == there:
            return 0
        self.crossed["local", group, here, there, dst % self.local_links] += 1
        return 1

    def to_group(self, group, here, other, dst):
        """Hops to another group, and the switch there."""
        if group == other:
            return 0, here
        link = dst % self.links
        hops = self.local(group, here, self.ends[group, other, link], dst) + 1
        self.crossed["global", group, other, link] += 1
        return hops, self.ends[other, group, link]


def counted(routes):
    found = Counter()
    for links in routes.links:
        for place in np.argwhere(links.messages):
            found[links.name, *map(int, place)] = int(links.messages[tuple(place)])
    return found


@st.composite
def traffic(draw):
    small = st.integers(1, 4)
    groups = {name: draw(small) for name in ("switches", "nodes", "links", "local_links")}
    groups["routing"] = draw(st.sampled_from(["minimal", "valiant"]))
    devices = draw(st.integers(1, 2))
    nodes = draw(st.integers(1, 6 * groups["switches"] * groups["nodes"]))
    ends = st.integers(0, nodes * devices - 1)
    return nodes, devices, groups, draw(st.lists(st.tuples(ends, ends), min_size=1, max_size=40))


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(traffic())
def test_every_link_has_the_messages_that_go_over_it_one_by_one(dragonfly_of, case):
    nodes, devices, groups, pairs = case
    network = dragonfly_of(nodes, devices=devices, **groups)
    src, dst = (np.array(ends) for ends in zip(*pairs, strict=True))
    routes = network.routes(src, dst)
    per_switch, switches = groups["nodes"] * devices, groups["switches"]
    count = -(-nodes // (groups["nodes"] * switches))
    wiring = Wiring(count, switches=switches, links=groups["links"], local_links=groups["local_links"])
    for a, b, number, hops in zip(src.tolist(), dst.tolist(), hashed(src, dst).tolist(), routes.hops, strict=True):
        group, here = divmod(a // per_switch, switches)
        other, there = divmod(b // per_switch, switches)
        made = 0 if a // devices == b // devices else 2
        if groups["routing"] == "valiant" and group != other and count > 2:
            third = sorted(set(range(count)) - {group, other})[number % (count - 2)]
            steps, here = wiring.to_group(group, here, third, b)
            group, made = third, made + steps
        steps, here = wiring.to_group(group, here, other, b)
        assert made + steps + wiring.local(other, here, there, b) == hops
    assert counted(routes) == wiring.crossed


def test_minimal_routes_are_at_most_local_global_local(dragonfly_of):
    network = dragonfly_of(72, switches=4, nodes=2, links=2)
    everyone = np.arange(72)
    hops = np.concatenate([network.routes(everyone, np.roll(everyone, by)).hops for by in range(1, 72)])
    assert (hops.min(), hops.max()) == (2, 5)


def test_all_of_a_group_to_another_share_the_links_between_them_unless_valiant_spreads_them(dragonfly_of):
    # The worst case of Kim et al.: each node sends to the next group.
    everyone = np.arange(33 * 32)
    shifted = np.roll(everyone, -32)
    minimal = load(dragonfly_of(33 * 32, switches=8, nodes=4), everyone, shifted)
    assert (minimal.bottleneck, minimal.busy_s_per_byte) == ("link global", 32)
    valiant = dragonfly_of(33 * 32, switches=8, nodes=4, routing="valiant").routes(everyone, shifted)
    across = next(each.messages for each in valiant.links if each.name == "global")
    # Twice 32 messages of a group over 32 links: 2 on average, and no link near 32.
    assert across.sum() == 2 * 33 * 32
    assert across.max() <= 10


def test_messages_inside_a_group_use_one_local_link_with_both_routings(dragonfly_of):
    for routing in ("minimal", "valiant"):
        network = dragonfly_of(72, switches=4, nodes=2, routing=routing)
        assert network.routes(np.array([0, 0]), np.array([1, 2])).hops.tolist() == [2, 3]


def test_valiant_ways_are_the_same_each_time(dragonfly_of):
    network = dragonfly_of(72, switches=4, nodes=2, routing="valiant")
    everyone = np.arange(72)
    first, second = (counted(network.routes(everyone, everyone[::-1])) for _ in range(2))
    assert first == second


def test_global_links_have_their_own_speed(dragonfly_of):
    network = dragonfly_of(72, switches=4, nodes=2, global_bandwidth_bytes_per_s=4.0)
    links = network.routes(np.array([0]), np.array([71])).links
    assert {each.name: each.bandwidth_bytes_per_s for each in links} == {"local": 1.0, "global": 4.0}


def test_axes_are_group_switch_node_and_device(dragonfly_of):
    part = dragonfly_of(72, switches=4, nodes=2, devices=2).allocate(20)
    assert [(axis.name, axis.extent) for axis in part.axes] == [("group", 3), ("switch", 4), ("node", 2), ("device", 2)]
    assert part.coordinates(np.array([39])).T.tolist() == [[2, 1, 1, 1]]


def test_a_dragonfly_needs_groups(machine_of):
    with pytest.raises(MachineError, match=r"needs network\.groups"):
        Dragonfly.of(machine_of(8, topology="dragonfly"))


def test_machines_can_name_it(plugins, dragonfly_of):
    assert isinstance(plugins.topology(dragonfly_of(16, switches=4, nodes=2).machine), Dragonfly)
