from collections import Counter

import numpy as np
import pytest
from fujimi_core.workload import CollectiveKind
from fujimi_sim.network.collectives.bucket import Bucket
from fujimi_sim.network.collectives.ring import Ring
from fujimi_sim.network.islands import NonBlocking
from fujimi_sim.network.timing import phases_cost
from fujimi_sim.network.torus import Torus

ADDED_BYTES_PER_S = 0.75e12 / 3  # the test device reads two operands and writes a sum


def everyone(machine):
    return np.arange(machine.nodes * machine.node.devices)[None]


def phases_of(machine, kind=CollectiveKind.ALL_REDUCE, groups=None):
    torus = Torus.of(machine)
    return Bucket().phases(kind, everyone(machine) if groups is None else groups, topology=torus), torus


@pytest.mark.parametrize("extents", [(4, 4, 4), (3, 5), (2, 3, 2, 2), (7,)])
@pytest.mark.parametrize("wrap", [True, False])
def test_every_rank_sends_twice_what_the_others_have(machine_of, extents, wrap):
    machine = machine_of(*extents, wrap=wrap)
    phases, _ = phases_of(machine)
    sent = Counter()
    for phase in phases:
        for src in phase.src.tolist():
            sent[src] += phase.repeats * phase.share
    assert sorted(sent) == list(range(machine.nodes))
    assert list(sent.values()) == pytest.approx([2 * (1 - 1 / machine.nodes)] * machine.nodes)


def test_a_torus_is_reduced_both_ways_round_one_axis_after_the_other(machine_of):
    machine = machine_of(4, 4, link=1e9, hop_s=1e-7, message_s=1e-6)
    phases, torus = phases_of(machine)
    steps_s = 2 * (3 + 3) * (1e-6 + 1e-7)
    sent_s = 2 * (1 - 1 / 16) * 8e6 / (2 * 1e9)
    added_s = (1 - 1 / 16) * 8e6 / ADDED_BYTES_PER_S
    cost = phases_cost(phases, torus)
    assert cost.seconds(8e6) == pytest.approx(steps_s + sent_s + added_s, rel=1e-12)


def test_a_mesh_is_reduced_over_rings_that_fold_back(machine_of):
    machine = machine_of(5, wrap=False, link=1e9, hop_s=1e-7, message_s=1e-6)
    phases, torus = phases_of(machine, CollectiveKind.ALL_GATHER)
    expected_s = 4 * (1e-6 + 2 * 1e-7 + 8e6 / 5 / 1e9)
    assert phases_cost(phases, torus).seconds(8e6) == pytest.approx(expected_s, rel=1e-12)


def test_the_fastest_axis_goes_first(machine_of):
    phases, _ = phases_of(machine_of(3, 8, wrap=(False, True)), CollectiveKind.REDUCE_SCATTER)
    assert [phase.repeats for phase in phases] == [7, 2]
    gathers, _ = phases_of(machine_of(3, 8, wrap=(False, True)), CollectiveKind.ALL_GATHER)
    assert [phase.repeats for phase in gathers] == [2, 7]
    assert not any(phase.reduces for phase in gathers)


def test_fewer_steps_make_it_faster_than_the_ring_for_small_buffers(machine_of):
    machine = machine_of(8, 8)
    phases, torus = phases_of(machine)
    ring = Ring().phases(CollectiveKind.ALL_REDUCE, everyone(machine), topology=torus)
    assert phases_cost(phases, torus).seconds(64) < phases_cost(ring, torus).seconds(64) / 4


def test_devices_of_a_node_come_before_the_network(machine_of):
    machine = machine_of(
        4,
        topology="nonblocking",
        devices=8,
        peer_bandwidth_bytes_per_s=200e9,
        interfaces=4,
        interface_bandwidth_bytes_per_s=25e9,
        injection_bandwidth_bytes_per_s=100e9,
        hop_s=0.0,
        message_s=0.0,
    )
    network = NonBlocking.of(machine)
    phases = Bucket().phases(CollectiveKind.ALL_GATHER, everyone(machine), topology=network)
    inside_s, between_s = 7 / 8 / 200e9, 8 * (3 / 4) / 8 / 100e9
    assert phases_cost(phases, network).seconds(1.0) == pytest.approx(inside_s + between_s)


def test_groups_that_are_on_no_grid_are_not_served(machine_of):
    assert phases_of(machine_of(4, 4), groups=np.array([[0, 1, 5, 6]]))[0] is None


def test_one_member_has_nothing_to_do(machine_of):
    assert phases_of(machine_of(4), groups=np.arange(4)[:, None])[0] == []
