import math

import numpy as np
import pytest
from fujimi_core.workload import CollectiveKind
from fujimi_sim.network.collectives.hierarchical import Hierarchical, HierarchicalDoubling, by_node
from fujimi_sim.network.torus import Torus

DEVICES = 4


@pytest.fixture
def torus(machine_of):
    return Torus.of(machine_of(8, devices=DEVICES, peer_bandwidth_bytes_per_s=50e9))


def inside(phase):
    return (phase.src // DEVICES == phase.dst // DEVICES).all()


def test_a_vector_is_reduced_inside_nodes_before_parts_of_it_cross_the_network(torus):
    phases = Hierarchical().phases(CollectiveKind.ALL_REDUCE, np.arange(32)[None], topology=torus)
    assert [inside(phase) for phase in phases] == [True, False, False, True]
    sent = [phase.share * phase.repeats for phase in phases]
    assert sent == pytest.approx([3 / 4, 7 / 8 / 4, 7 / 8 / 4, 3 / 4])
    assert [phase.reduces for phase in phases] == [True, True, False, False]


def test_few_steps_cross_the_network_by_doubling(torus):
    phases = HierarchicalDoubling().phases(CollectiveKind.ALL_REDUCE, np.arange(32)[None], topology=torus)
    across = [phase for phase in phases if not inside(phase)]
    assert len(across) == math.log2(8)
    assert {phase.share for phase in across} == {1 / 4}


def test_the_node_of_the_root_scatters_a_broadcast(torus):
    members = np.roll(np.arange(32), 9)
    phases = Hierarchical().phases(CollectiveKind.BROADCAST, members[None], topology=torus)
    root = int(members[0])
    assert set(phases[0].src.tolist()) == {root}
    assert [inside(phase) for phase in phases] == [True] * 2 + [False] * 4 + [True]


def test_members_are_found_by_node_that_of_the_first_first(torus):
    assert by_node(np.array([[9, 4, 8, 5]]), torus).tolist() == [[[9, 8], [4, 5]]]


@pytest.mark.parametrize(
    "members",
    [[0, 4, 8, 12], [0, 1, 2, 3], [0, 1, 2, 4, 5], [0, 1, 4, 5, 6, 8], [0, 1, 4, 8], [0], [0, 1, 2, 4, 8, 12]],
    ids=["one a node", "one node", "unequal", "unequal sum", "unequal last", "one", "unequal first"],
)
def test_groups_that_do_not_fill_nodes_alike_are_not_served(torus, members):
    assert by_node(np.array([members]), torus) is None


def test_every_group_must_fill_nodes_alike(torus):
    assert by_node(np.array([[0, 1, 4, 5], [8, 9, 12, 13]]), torus) is not None
    assert by_node(np.array([[0, 1, 4, 5], [8, 12, 16, 20]]), torus) is None
