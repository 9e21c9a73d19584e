from dataclasses import replace

import pytest
from fujimi_core.machine import Regime, Transport
from fujimi_sim.network.description import part_description, quantities


def test_a_part_is_described_with_its_box_and_its_idle_nodes(machine_of, plugins):
    whole = plugins.topology(machine_of(6, 7, wrap=False))
    described = part_description(whole.allocate(41))
    assert (described.nodes, described.shape, described.idle_nodes) == (41, (41,), 1)
    assert [axis.extent for axis in described.axes] == [6, 7]


@pytest.mark.parametrize(("wrap", "hops"), [(True, 3 + 3), (False, 5 + 6)])
def test_the_farthest_node_is_half_a_round_or_a_whole_line_away_on_each_axis(machine_of, plugins, wrap, hops):
    assert part_description(plugins.topology(machine_of(6, 7, wrap=wrap))).farthest_hops == hops


def test_devices_of_a_node_are_no_idle_nodes(machine_of, plugins):
    machine = machine_of(4, devices=8, peer_bandwidth_bytes_per_s=1e9, topology="nonblocking")
    assert part_description(plugins.topology(machine)).idle_nodes == 0


@pytest.fixture
def shown_of(machine_of):
    def shown(sources=None, **fields):
        machine = machine_of(4, 2, wrap=(True, False), unit=(1,))
        machine = replace(machine, network=replace(machine.network, **fields), sources=sources or {})
        return {each.key: each for each in quantities(machine)}

    return shown


def test_numbers_are_shown_with_units_and_axes_with_their_wrap(shown_of):
    shown = {key: each.shown for key, each in shown_of().items()}
    assert shown["node.injection_bandwidth_bytes_per_s"] == "600 GB/s"
    assert shown["network.hop_latency_s"] == "100 ns"
    assert shown["network.axes[0]"] == "x 4, wraps"
    assert shown["network.axes[1]"] == "y 2, in a unit"
    assert "network.levels" not in shown
    assert "node.peer_bandwidth_bytes_per_s" not in shown


def test_each_regime_of_a_transport_is_shown(shown_of):
    eager = Regime(latency_s=1e-6, up_to_bytes=4096, up_to_bytes_per_hop=64)
    shown = shown_of(transports={"mpi": Transport(regimes=(eager, Regime(latency_s=5e-6)), call_s=1e-6)})
    assert shown["network.transports.mpi.regimes[0].up_to_bytes"].shown == "4.096 kB"
    assert shown["network.transports.mpi.regimes[0].up_to_bytes_per_hop"].shown == "64 B"
    assert shown["network.transports.mpi.regimes[1].latency_s"].shown == "5 µs"
    assert shown["network.transports.mpi.call_s"].shown == "1 µs"


def test_what_costs_nothing_is_shown_only_with_a_source(shown_of):
    free = {"mpi": Transport(regimes=(Regime(latency_s=0.0),))}
    key = "network.transports.mpi.regimes[0].latency_s"
    assert key not in shown_of(transports=free)
    assert shown_of({key: "Manual"}, transports=free)[key].shown == "0 s"


def test_of_many_dead_nodes_a_few_are_shown_and_all_are_kept(shown_of):
    shown = shown_of(dead_nodes=tuple(range(8)), dead_links=((0, 1), (2, 3)))
    assert shown["network.dead_nodes"].shown == "0, 1, 2, 3, 4, 5, … (8 in all)"
    assert list(shown["network.dead_nodes"].value) == list(range(8))
    assert shown["network.dead_links"].shown == "0-1, 2-3"


def test_sources_stand_beside_their_numbers_and_say_if_nobody_checked(shown_of):
    sources = {
        "network.hop_latency_s": "unverified: a guess",
        "network.axes[1].extent": "Manual, p. 3",
        "network.dead_nodes[0]": "Log of today",
    }
    shown = shown_of(sources, dead_nodes=(3,))
    assert shown["network.hop_latency_s"].unverified
    assert shown["network.axes[1]"].source == "Manual, p. 3"
    assert shown["network.dead_nodes"].source == "Log of today"
    assert not shown["network.axes[1]"].unverified
    assert shown["network.message_latency_s"].source == ""
