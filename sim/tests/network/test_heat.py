import numpy as np
import pytest
from fujimi_core.machine import NetworkAxis
from fujimi_core.network import Links, Phase, Routes
from fujimi_sim.network.bench import Bench, busy_s, part_of
from fujimi_sim.network.heat import heat
from fujimi_sim.network.timing import phases_cost

LINK = 1e9


@pytest.fixture
def topology_of(machine_of, plugins):
    def topology(*extents, **fields):
        return plugins.topology(machine_of(*extents, **fields))

    return topology


def at(*nodes):
    return np.array(nodes, np.int64)


def named(kinds):
    return {each.name: each for each in kinds}


def test_a_message_keeps_the_links_on_its_way_busy_and_lines_end_without_a_link(topology_of):
    found = heat([Phase(src=at(0), dst=at(2))], topology_of(4, wrap=False), 3e6)
    links = named(found.links)
    np.testing.assert_allclose(links["+x"].seconds, [3e-3, 3e-3, 0, np.nan])
    np.testing.assert_allclose(links["-x"].seconds, [np.nan, 0, 0, 0])
    assert links["+x"].mean_s == pytest.approx(2e-3)
    assert links["+x"].max_s == pytest.approx(3e-3)


def test_every_link_of_a_ring_is_busy_for_two_thirds_more_than_the_buffer(machine_of, plugins):
    machine = machine_of(6)
    bench = Bench(machine, part_of(machine, nodes=None, shape=None, plugins=plugins), plugins=plugins)
    links = named(heat(bench.phases("all_reduce", "ring"), bench.part, 6e6).links)
    np.testing.assert_allclose(links["+x"].seconds, 2 * 5 / 6 * 6e6 / LINK)
    np.testing.assert_allclose(links["-x"].seconds, 0)


@pytest.mark.parametrize("algorithm", ["ring", "recursive_doubling"])
@pytest.mark.parametrize("extents", [(8,), (4, 2, 4)])
def test_no_link_or_interface_is_busier_than_the_time_that_is_charged_for_them(machine_of, plugins, extents, algorithm):
    machine = machine_of(*extents, interface_bandwidth_bytes_per_s=1.5e9, injection_bandwidth_bytes_per_s=2e9)
    bench = Bench(machine, part_of(machine, nodes=None, shape=None, plugins=plugins), plugins=plugins)
    phases = bench.phases("all_reduce", algorithm)
    found = heat(phases, bench.part, 1e6)
    charged_s = busy_s(phases_cost(phases, bench.part), 1e6)
    busiest_s = max(each.max_s for each in (*found.links, *found.nodes))
    assert busiest_s <= charged_s * (1 + 1e-9)
    if algorithm == "ring":  # the same messages all the time
        assert busiest_s == pytest.approx(charged_s)


def test_bytes_on_links_are_those_of_all_messages_times_their_hops(topology_of):
    topology = topology_of(5, 4, 3, wrap=(True, False, True))
    random = np.random.default_rng(0)
    pairs = [random.integers(0, 60, (2, 200)) for _ in range(3)]
    phases = [
        Phase(src=src, dst=dst, share=share, repeats=repeats, fixed_bytes=fixed)
        for (src, dst), share, repeats, fixed in zip(pairs, (1.0, 0.25, 0.5), (1, 3, 2), (0.0, 8.0, 0.0), strict=True)
    ]
    found = heat(phases, topology, 1e6)
    sent = [1e6, 3 * (0.25e6 + 8), 1e6]
    hops = [topology.routes(src, dst).hops.sum() for src, dst in pairs]
    assert sum(np.nansum(each.seconds) for each in found.links) * LINK == pytest.approx(np.dot(sent, hops))
    leaving = [np.count_nonzero(src != dst) for src, dst in pairs]
    injected = named(found.nodes)["injection"].seconds.sum() * 600e9
    assert injected == pytest.approx(np.dot(sent, leaving))
    assert named(found.nodes)["ejection"].seconds.sum() * 600e9 == pytest.approx(injected)


def test_messages_that_repeat_are_routed_once(topology_of):
    topology, asked = topology_of(4), []

    class Counted:
        def __getattr__(self, name):
            return getattr(topology, name)

        def routes(self, src, dst):
            asked.append(len(src))
            return topology.routes(src, dst)

    src, dst = at(0, 1), at(1, 2)
    phases = [Phase(src=src, dst=dst, share=share) for share in (0.5, 0.25, 0.25)]
    found = heat([*phases, Phase(src=at(), dst=at(), copied=1.0)], Counted(), 1e6)
    assert asked == [2]
    np.testing.assert_allclose(named(found.links)["+x"].seconds, [1e-3, 1e-3, 0, 0])


def test_interfaces_share_the_messages_of_a_node_as_far_as_a_phase_uses_them(topology_of):
    topology = topology_of(2, 2, interfaces=2, interface_bandwidth_bytes_per_s=1e9)
    for interfaces, seconds in ((None, 1e-3), (1, 2e-3)):
        phase = Phase(src=at(0, 0), dst=at(1, 2), interfaces=interfaces)
        np.testing.assert_allclose(named(heat([phase], topology, 1e6).nodes)["interface"].max_s, seconds)


def test_messages_inside_a_node_keep_its_devices_busy_and_nothing_else(topology_of):
    topology = topology_of(2, devices=4, peer_bandwidth_bytes_per_s=1e10)
    found = heat([Phase(src=at(4, 4, 5), dst=at(5, 6, 5))], topology, 1e7)
    np.testing.assert_allclose(named(found.nodes)["peer"].seconds, [0, 0, 0, 0, 2e-3, 1e-3, 1e-3, 0])
    assert named(found.nodes)["injection"].max_s == 0
    assert {each.max_s for each in found.links} == {0.0}


def test_only_the_nodes_of_the_job_count(topology_of):
    part = topology_of(8).allocate(4)
    src = part.nodes[:1]
    assert named(heat([Phase(src=src, dst=part.nodes[1:2])], part, 1e6).nodes)["injection"].seconds.shape == (4,)


def test_links_are_projected_onto_the_plane_of_the_two_longest_axes(topology_of):
    topology = topology_of(3, 2, 4)
    found = heat([Phase(src=at(0, 4), dst=at(1, 5))], topology, 1e6)  # along z, at x 0 and at y 0 and 1
    assert found.plane == (0, 2)
    plane = found.projected(named(found.links)["+z"])
    expected = np.zeros((3, 4))
    expected[0, 0] = 1e-3
    np.testing.assert_allclose(plane, expected)


def test_one_axis_makes_one_row(topology_of):
    found = heat([Phase(src=at(0), dst=at(1))], topology_of(4), 1e6)
    assert found.plane == (0,)
    assert found.projected(found.links[0]).shape == (1, 4)


def test_axes_of_one_node_have_no_links(topology_of):
    assert [each.name for each in heat([Phase(src=at(0), dst=at(1))], topology_of(1, 4), 1e6).links] == ["+y", "-y"]


def test_a_network_without_a_grid_has_no_axes(topology_of):
    found = heat([Phase(src=at(0), dst=at(1))], topology_of(4, topology="nonblocking"), 1e6)
    assert found.axes == ()
    assert found.links == ()
    assert named(found.nodes)["injection"].seconds[0] == pytest.approx(1e6 / 600e9)


def test_switches_do_not_tell_which_links_they_have_so_the_mean_is_that_of_those_in_use(topology_of):
    used, unused = (Links(name=name, messages=np.array(counts), bandwidth_bytes_per_s=LINK) for name, counts in SWITCH)

    class Switch:
        machine = topology_of(4).machine
        axes = (NetworkAxis(name="node", extent=4, wrap=True),)
        nodes = np.arange(4)

        def routes(self, src, dst):
            return Routes(links=(used, unused), hops=np.array([2]))

    links = named(heat([Phase(src=at(0), dst=at(1))], Switch(), 1e6).links)
    assert (links["up"].mean_s, links["up"].max_s) == (pytest.approx(2e-3), pytest.approx(3e-3))
    assert (links["down"].mean_s, links["down"].max_s) == (0, 0)


SWITCH = [("up", [[0, 1], [3, 0]]), ("down", [[0, 0], [0, 0]])]
