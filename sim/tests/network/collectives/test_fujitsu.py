from collections import Counter

import numpy as np
import pytest
from fujimi_core.machine import Regime, Transport
from fujimi_core.workload import CollectiveKind
from fujimi_sim.network.collectives.fujitsu import (
    AxisTree,
    GatherBroadcast,
    InOrderBinary,
    Pulled,
    ReduceBroadcast,
    TofuBarrier,
    WholeBroadcast,
    halving_edges,
    in_order_edges,
    widest_broadcast,
)
from fujimi_sim.network.timing import phases_cost
from fujimi_sim.network.torus import Torus
from hypothesis import given, settings
from hypothesis import strategies as st

GATES = {"tofu_barrier": Transport(regimes=(Regime(latency_s=2e-7),))}
LINK, MESSAGE_S, HOP_S = 1e9, 1e-6, 1e-7


@pytest.fixture
def job(machine_of):
    """A torus with the shape of the job, and its endpoints."""

    def part(*shape, devices=1, **fields):
        several = {"devices": devices, "peer_bandwidth_bytes_per_s": 50e9} if devices > 1 else {}
        machine = machine_of(*shape, **several, **fields)
        found = Torus.of(machine).allocate(machine.nodes, shape=shape) if len(shape) > 1 else Torus.of(machine)
        return found, (found.nodes[:, None] * devices + np.arange(devices)).reshape(1, -1)

    return part


def phases_of(algorithm, kind, part):
    topology, everyone = part
    return algorithm.phases(kind, everyone, topology=topology)


def spans(edges, members):
    """Whether edges of parents and children are a tree from member 0 to all others."""
    parents = {child: parent for parent, child in edges}
    if len(edges) != members - 1 or set(parents) != set(range(1, members)):
        return False
    for child in range(1, members):
        seen = {child}
        while child:
            child = parents[child]
            if child in seen:
                return False
            seen.add(child)
    return True


def depth_of(edges):
    depth = {0: 0}
    left = list(edges)
    while left:
        found = [(parent, child) for parent, child in left if parent in depth]
        depth |= {child: depth[parent] + 1 for parent, child in found}
        left = [edge for edge in left if edge not in found]
    return max(depth.values())


# trees over members


@given(members=st.integers(1, 300))
def test_halving_is_a_tree_from_the_first_member_to_all_others(members):
    edges = halving_edges(members)
    assert spans(edges, members)
    assert all(parent < child for parent, child in edges)


@given(members=st.integers(1, 300))
def test_halving_sends_at_most_once_in_each_of_log2_stages(members):
    children = Counter(parent for parent, _ in halving_edges(members))
    assert max(children.values(), default=0) <= (members - 1).bit_length()
    assert depth_of(halving_edges(members)) <= (members - 1).bit_length()


@given(members=st.integers(1, 300))
@settings(deadline=None)
def test_the_in_order_tree_has_two_children_and_subtrees_of_members_next_to_each_other(members):
    found, depth = in_order_edges(members)
    edges = [tuple(edge) for edge in found.tolist()]
    assert spans(edges, members)
    assert depth == depth_of(edges)
    assert max(Counter(parent for parent, _ in edges).values(), default=0) <= 2
    below = {member: {member} for member in range(members)}
    for parent, child in sorted(edges, key=lambda edge: -edge[1]):
        below[parent] |= below[child]
    assert all(max(tree) - min(tree) == len(tree) - 1 for tree in below.values())


@pytest.mark.parametrize(("members", "depth"), [(1, 0), (2, 1), (3, 1), (4, 2), (7, 2), (8, 3), (15, 3), (31, 4)])
def test_the_in_order_tree_is_as_deep_as_a_complete_one(members, depth):
    assert in_order_edges(members)[1] == depth


# barrier


def test_gates_are_only_where_the_machine_has_them(job):
    assert phases_of(TofuBarrier(), CollectiveKind.BARRIER, job(4, 4)) is None
    assert phases_of(TofuBarrier(), CollectiveKind.BARRIER, job(4, 4, transports=GATES))


@pytest.mark.parametrize("members", [1, 2, 3])
def test_gates_need_four_members(job, members):
    topology, everyone = job(4, 4, transports=GATES)
    phases = TofuBarrier().phases(CollectiveKind.BARRIER, everyone[:, :members], topology=topology)
    assert phases is None


@pytest.mark.parametrize(("shape", "steps"), [((4, 4), 4), ((2, 2, 2), 3), ((5, 3), 3 + 2), ((8,), 3)])
def test_a_barrier_takes_a_step_for_each_doubling_along_each_axis(job, shape, steps):
    phases = phases_of(TofuBarrier(), CollectiveKind.BARRIER, job(*shape, transports=GATES))
    assert len(phases) == steps
    assert {phase.share for phase in phases} == {0.0}


def test_a_barrier_takes_as_long_as_its_steps_and_hops(job):
    part = job(4, 4, transports=GATES)
    phases = phases_of(TofuBarrier(), CollectiveKind.BARRIER, part)
    cost = phases_cost(phases, part[0], transport="tofu_barrier")
    # On each axis one hop and two.
    assert cost.seconds(0) == pytest.approx(4 * 2e-7 + 2 * (1 + 2) * HOP_S)
    assert cost.seconds(1e9) == cost.seconds(0)


# all-to-all, gather


def received(phases, endpoints):
    found = np.zeros(endpoints)
    for phase in phases:
        np.add.at(found, phase.dst, phase.share * phase.repeats)
    return found


def test_the_first_member_pulls_all_parts_through_two_interfaces(job):
    (phase,) = phases_of(Pulled(), CollectiveKind.GATHER, job(8))
    assert phase.interfaces == 2
    assert phase.dst.tolist() == [0] * 7
    assert sorted(phase.src.tolist()) == list(range(1, 8))
    assert phase.share == 1 / 8


def test_ranks_of_a_node_hand_in_before_their_parts_are_pulled_together(job):
    handed_in, pulled = phases_of(Pulled(), CollectiveKind.GATHER, job(2, 2, devices=4))
    assert (handed_in.share, handed_in.reduces) == (1 / 16, False)
    assert (handed_in.src // 4 == handed_in.dst // 4).all()
    assert pulled.share == 4 / 16
    assert sorted(pulled.src.tolist()) == [4, 8, 12]
    # The root's node hands in three parts, three nodes send four.
    assert received([handed_in, pulled], 16)[0] == pytest.approx(15 / 16)


# trees over the job


@pytest.mark.parametrize("shape", [(4, 4, 4), (3, 5), (7,), (2, 1, 6)])
def test_an_axis_tree_reaches_every_node_once(job, shape):
    (phase,) = phases_of(AxisTree(), CollectiveKind.BROADCAST, job(*shape))
    assert sorted(phase.dst.tolist()) == list(range(1, int(np.prod(shape))))
    assert spans(list(zip(phase.src.tolist(), phase.dst.tolist(), strict=True)), int(np.prod(shape)))
    assert phase.stages == sum((extent - 1).bit_length() for extent in shape)


@pytest.mark.parametrize("root", [0, 7, 26])
def test_an_axis_tree_begins_at_the_first_member_and_stays_on_axes(job, root):
    topology, everyone = job(3, 3, 3)
    groups = np.roll(everyone, -root, axis=1)
    (phase,) = AxisTree().phases(CollectiveKind.BROADCAST, groups, topology=topology)
    assert set(phase.dst.tolist()) == set(range(27)) - {root}
    moved = topology.coordinates(phase.src) != topology.coordinates(phase.dst)
    assert (moved.sum(axis=0) == 1).all()


def test_an_axis_tree_passes_the_result_on_inside_nodes(job):
    tree, inside = phases_of(AxisTree(), CollectiveKind.BROADCAST, job(2, 2, devices=2))
    assert sorted(tree.dst.tolist()) == [2, 4, 6]
    assert sorted(inside.dst.tolist()) == [1, 3, 5, 7]


def test_a_reduce_in_order_sends_from_every_member_to_its_parent_once(job):
    (phase,) = phases_of(InOrderBinary(segment_bytes=1000), CollectiveKind.REDUCE, job(31))
    assert phase.reduces
    assert phase.segment_bytes == 1000
    assert phase.stages == 4
    assert sorted(phase.src.tolist()) == list(range(1, 31))


@pytest.mark.parametrize(("shape", "trees"), [((4, 4, 4), 6), ((4, 2, 8), 3), ((64,), 1), ((8, 8), 1), ((2, 2, 16), 3)])
def test_broadcasts_of_large_jobs_use_as_many_trees_as_there_are(job, shape, trees):
    topology, everyone = job(*shape)
    (phase,) = widest_broadcast(everyone, topology)
    assert phase.share == pytest.approx(1 / trees)
    assert phase.transport == "rdma"


def test_a_scatter_that_broadcasts_sends_everything_to_everybody(job):
    part = job(4, 4, 4)
    phases = phases_of(WholeBroadcast(), CollectiveKind.SCATTER, part)
    assert received(phases, 64) == pytest.approx(1)


def test_an_all_gather_is_a_gather_and_a_broadcast(job):
    part = job(4, 4, 4)
    phases = phases_of(GatherBroadcast(), CollectiveKind.ALL_GATHER, part)
    parts_of = received(phases[:1], 64)
    assert parts_of[0] == pytest.approx(63 / 64)
    assert not parts_of[1:].any()
    assert received(phases[1:], 64)[1:] == pytest.approx(1)


def test_an_all_reduce_is_a_reduce_by_mpi_and_a_broadcast_below_it(job):
    part = job(4, 4, 4)
    up, *down = phases_of(ReduceBroadcast(), CollectiveKind.ALL_REDUCE, part)
    assert up.reduces
    assert up.transport == ""
    assert ReduceBroadcast().transport == "mpi"
    assert [phase.transport for phase in down] == ["rdma"]
    assert not any(phase.reduces for phase in down)
    transports = {
        "mpi": Transport(regimes=(Regime(latency_s=1e-5),)),
        "rdma": Transport(regimes=(Regime(latency_s=0),)),
    }
    part = job(4, 4, 4, transports=transports)
    cost = phases_cost(phases_of(ReduceBroadcast(), CollectiveKind.ALL_REDUCE, part), part[0])
    tree = in_order_edges(64)[1]
    assert cost.phases[0].parts(0)["latency"] >= tree * 1e-5
    assert cost.phases[1].parts(0)["latency"] < 1e-5


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        (AxisTree(), CollectiveKind.BROADCAST),
        (WholeBroadcast(), CollectiveKind.SCATTER),
        (GatherBroadcast(), CollectiveKind.ALL_GATHER),
        (ReduceBroadcast(), CollectiveKind.ALL_REDUCE),
    ],
)
def test_nobody_broadcasts_to_himself(job, algorithm, kind):
    topology, everyone = job(4)
    assert algorithm.phases(kind, everyone.T, topology=topology) is None
