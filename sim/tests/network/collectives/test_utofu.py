from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from fujimi_core.machine import Regime, Transport
from fujimi_core.workload import CollectiveKind
from fujimi_sim.network.collectives.utofu import ADDRESS_BYTES, Forwarding, Halving, Tree, TwoTrees, WholeExchange
from fujimi_sim.network.loads import load
from fujimi_sim.network.timing import phases_cost
from fujimi_sim.network.tofu import Tofu

SHAPES = [(2,), (8,), (4, 4), (2, 8), (2, 2, 2), (4, 4, 4), (2, 4, 8)]
LANES = [1, 3, 6]
both_distances = pytest.mark.parametrize("bine", [True, False])
shapes = pytest.mark.parametrize("shape", SHAPES)
all_lanes = pytest.mark.parametrize("lanes", LANES)


@pytest.fixture
def job(machine_of):
    """Part of a Tofu on which a job has a shape."""
    wrap, unit = (True, True, True, False, True, False), (3, 4, 5)
    tofu = Tofu.of(machine_of(4, 4, 4, 2, 3, 2, wrap=wrap, unit=unit))
    return lambda shape: tofu.allocate(int(np.prod(shape)), shape=shape)


@pytest.fixture
def phases_of(job):
    def phases(algorithm, kind, shape):
        part = job(shape)
        return algorithm.phases(kind, part.nodes[None], topology=part)

    return phases


def moving(phases):
    """Phases that carry parts of the buffer."""
    return [phase for phase in phases if phase.src.size and phase.share]


def telling(phases):
    return [phase for phase in phases if phase.fixed_bytes]


def sent(phases, *, member):
    """Bytes that a member sends, over the buffer."""
    return sum(phase.share * phase.repeats * np.count_nonzero(phase.src == member) for phase in phases)


def received(phases, *, member):
    return sum(phase.share * phase.repeats * np.count_nonzero(phase.dst == member) for phase in phases)


def lane_of(phase, lane):
    """The part of a phase that one lane sends; lanes stand one behind the other."""
    src, dst = (np.split(ends, phase.lanes)[lane] for ends in (phase.src, phase.dst))
    return replace(phase, src=src, dst=dst)


def heard(phases, nodes):
    """Who has heard of whom, as a matrix: a message carries all that its sender knew before the step."""
    knows = np.eye(nodes, dtype=bool)
    for phase in phases:
        before = knows.copy()
        np.logical_or.at(knows, phase.dst, before[phase.src])
    return knows


# bytes


@both_distances
@all_lanes
@shapes
def test_whole_exchanges_take_the_buffer_for_each_doubling(phases_of, bine, lanes, shape):
    phases = phases_of(WholeExchange(bine=bine, lanes=lanes), CollectiveKind.ALL_REDUCE, shape)
    steps = int(np.log2(np.prod(shape)))
    assert len(moving(phases)) == steps
    for member in phases[0].src:
        assert sent(phases, member=member) == pytest.approx(steps)
        assert received(phases, member=member) == pytest.approx(steps)


@both_distances
@all_lanes
@shapes
@pytest.mark.parametrize(
    ("kind", "times"),
    [(CollectiveKind.ALL_REDUCE, 2), (CollectiveKind.REDUCE_SCATTER, 1), (CollectiveKind.ALL_GATHER, 1)],
)
def test_halving_takes_all_but_the_own_part_once_or_twice(phases_of, bine, lanes, shape, kind, times):
    phases = moving(phases_of(Halving(bine=bine, lanes=lanes), kind, shape))
    members = int(np.prod(shape))
    assert len(phases) == times * np.log2(members)
    for member in phases[0].src:
        assert sent(phases, member=member) == pytest.approx(times * (members - 1) / members)
        assert received(phases, member=member) == pytest.approx(times * (members - 1) / members)


@both_distances
@all_lanes
@shapes
@pytest.mark.parametrize("nearest_first", [True, False])
def test_trees_pass_the_whole_buffer_to_everybody_once_and_parts_once(
    phases_of, job, bine, lanes, shape, nearest_first
):
    tree = Tree(bine=bine, lanes=lanes, nearest_first=nearest_first)
    members = int(np.prod(shape))
    down = moving(phases_of(tree, CollectiveKind.BROADCAST, shape))
    assert len(down) == np.log2(members)
    root, *others = job(shape).nodes
    for member in others:
        assert received(down, member=member) == pytest.approx(1)
    assert received(down, member=root) == 0
    scatter = moving(phases_of(tree, CollectiveKind.SCATTER, shape))
    gather = moving(phases_of(tree, CollectiveKind.GATHER, shape))
    assert sent(scatter, member=root) == pytest.approx((members - 1) / members)
    assert received(gather, member=root) == pytest.approx((members - 1) / members)
    # Half of all members are one level below somebody, a quarter two, and so on.
    all_of_it = sum(phase.share * phase.src.size for phase in scatter)
    assert all_of_it == pytest.approx(np.log2(members) / 2)
    assert sum(phase.share * phase.src.size for phase in gather) == pytest.approx(all_of_it)


@both_distances
@all_lanes
@shapes
def test_a_reduce_takes_the_buffer_from_everybody_but_the_root(phases_of, bine, lanes, shape):
    phases = phases_of(Tree(bine=bine, lanes=lanes), CollectiveKind.REDUCE, shape)
    assert all(phase.reduces for phase in phases)
    senders = Counter(member for phase in phases for member in phase.src.tolist())
    assert set(senders.values()) == {1}
    assert len(senders) == np.prod(shape) - 1
    assert all(phase.share * phase.repeats == pytest.approx(1) for phase in phases)


@both_distances
@all_lanes
@shapes
@pytest.mark.parametrize("kind", [CollectiveKind.BROADCAST, CollectiveKind.REDUCE])
def test_two_trees_halve_the_buffer_twice(phases_of, bine, lanes, shape, kind):
    phases = moving(phases_of(TwoTrees(bine=bine, lanes=lanes), kind, shape))
    members = int(np.prod(shape))
    assert len(phases) == 2 * np.log2(members)
    shares = [phase.share * lanes for phase in phases]
    halves = [0.5 ** (step + 1) for step in range(len(shares) // 2)]
    assert shares == pytest.approx(halves + halves[::-1])


@both_distances
@shapes
def test_forwarding_sends_half_of_the_buffer_in_each_step_and_copies_it(phases_of, bine, shape):
    phases = phases_of(Forwarding(bine=bine), CollectiveKind.ALL_TO_ALL, shape)
    steps = int(np.log2(np.prod(shape)))
    assert [phase.share for phase in moving(phases)] == [0.5] * steps
    for member in phases[1].src:
        assert sent(moving(phases), member=member) == pytest.approx(steps / 2)
    assert sum(phase.copied for phase in phases) == steps + 2


# lanes


@both_distances
@pytest.mark.parametrize(
    ("family", "kind"),
    [
        (WholeExchange, CollectiveKind.ALL_REDUCE),
        (Halving, CollectiveKind.ALL_REDUCE),
        (Halving, CollectiveKind.REDUCE_SCATTER),
        (Tree, CollectiveKind.BROADCAST),
        (Tree, CollectiveKind.GATHER),
        (Tree, CollectiveKind.SCATTER),
        (TwoTrees, CollectiveKind.BROADCAST),
        (TwoTrees, CollectiveKind.REDUCE),
    ],
)
@pytest.mark.parametrize("shape", [(8,), (4, 4, 4), (2, 4, 2)])
def test_lanes_share_the_bytes_equally_and_each_serves_everybody(phases_of, job, bine, family, kind, shape):
    alone, shared = (moving(phases_of(family(bine=bine, lanes=lanes), kind, shape)) for lanes in (1, 6))
    assert [phase.share for phase in shared] == pytest.approx([phase.share / 6 for phase in alone])
    nodes = job(shape).nodes
    for lane in range(6):
        knows = heard([lane_of(phase, lane) for phase in shared], int(nodes.max()) + 1)[np.ix_(nodes, nodes)]
        if kind in (CollectiveKind.BROADCAST, CollectiveKind.SCATTER):
            assert knows[:, 0].all()
        elif kind in (CollectiveKind.GATHER, CollectiveKind.REDUCE):
            assert knows[0].all()
        else:
            assert knows.all()


@both_distances
@pytest.mark.parametrize("shape", [(4, 4, 4), (8, 4, 2)])
def test_six_lanes_of_a_whole_exchange_need_no_link_twice_in_the_first_step(phases_of, bine, shape):
    phases = phases_of(WholeExchange(bine=bine, lanes=6), CollectiveKind.ALL_REDUCE, shape)
    ends = sorted(zip(phases[0].src.tolist(), phases[0].dst.tolist(), strict=True))
    # An axis of two nodes is the same link both ways round.
    assert max(Counter(ends).values()) == (2 if 2 in shape else 1)


@both_distances
def test_six_lanes_of_a_tree_begin_with_all_six_neighbours_of_the_root(phases_of, job, bine):
    part = job((4, 4, 4))
    tree = Tree(bine=bine, lanes=6, nearest_first=False, buffered=True)
    first = moving(phases_of(tree, CollectiveKind.BROADCAST, (4, 4, 4)))[0]
    assert set(first.src.tolist()) == {int(part.nodes[0])}
    grid = part.nodes.reshape(4, 4, 4)
    neighbours = [grid[1, 0, 0], grid[-1, 0, 0], grid[0, 1, 0], grid[0, -1, 0], grid[0, 0, 1], grid[0, 0, -1]]
    assert sorted(first.dst.tolist()) == sorted(map(int, neighbours))


@pytest.mark.parametrize("shape", [(4, 4, 4), (2, 2, 2), (4, 4), (4,)])
def test_no_link_has_two_messages_in_any_step_of_doubling_distances_up_to_four_nodes_an_axis(phases_of, job, shape):
    # Of four nodes in a ring the one opposite is two hops away, and each link on the way leads another pair together
    # in the other direction: so recursive doubling is not slowed on rings of four, which are folded on a Tofu.
    part = job(shape)
    phases = phases_of(Halving(bine=False), CollectiveKind.REDUCE_SCATTER, shape)
    steps = moving(phases)
    for number, phase in enumerate(steps):
        found = load(part, phase.src, phase.dst)
        links = part.routes(phase.src, phase.dst).links
        assert max(int(each.messages.max(initial=0)) for each in links) == 1
        # The first step on each axis goes one hop, the second two.
        assert found.hops == (1 if number < len(shape) else 2)


def test_doubling_distances_share_links_on_longer_axes(phases_of, job):
    # Four nodes further on a line of eight that is folded over (A, X): four messages leave over the middle.
    part = job((8, 8, 8))
    phases = moving(phases_of(Halving(bine=False), CollectiveKind.REDUCE_SCATTER, (8, 8, 8)))
    most = [max(int(each.messages.max(initial=0)) for each in part.routes(p.src, p.dst).links) for p in phases]
    assert most[:3] == [1, 1, 1]
    assert max(most) > 1


# what is told before


@all_lanes
def test_partners_tell_each_other_two_addresses_for_each_lane(phases_of, lanes):
    phases = phases_of(Halving(lanes=lanes), CollectiveKind.ALL_REDUCE, (4, 4, 4))
    told = telling(phases)
    assert len(told) == (2 if lanes > 3 else 1)
    assert {(phase.fixed_bytes, phase.transport, phase.share) for phase in told} == {(lanes * ADDRESS_BYTES, "mpi", 0)}
    # Each member to its partner in each of 6 steps, of the first lane and, with more than one to an axis, of a
    # mirrored one.
    for phase in told:
        assert phase.src.size == 6 * 64
    straight = Counter(zip(told[0].src.tolist(), told[0].dst.tolist(), strict=True))
    exchanged = [lane_of(phase, 0) for phase in moving(phases)[:6]]
    assert straight == Counter((s, d) for p in exchanged for s, d in zip(p.src.tolist(), p.dst.tolist(), strict=True))


def test_everybody_hears_of_all_addresses_before_a_broadcast(phases_of):
    phases = phases_of(Tree(lanes=3), CollectiveKind.BROADCAST, (2, 4, 2))
    told = telling(phases)
    # Recursive doubling of 16 parts: 1 + 2 + 4 + 8 of them.
    assert sum(phase.fixed_bytes for phase in told) == 15 * 3 * ADDRESS_BYTES
    assert phases[: len(told)] == told


def test_a_buffered_broadcast_tells_nothing_and_copies_the_buffer_at_the_end(phases_of):
    phases = phases_of(Tree(lanes=3, buffered=True), CollectiveKind.BROADCAST, (2, 4, 2))
    assert not telling(phases)
    assert phases[-1].copied == 1.0
    assert not any(phase.copied for phase in phases[:-1])


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        (Halving(over_mpi=True), CollectiveKind.ALL_REDUCE),
        (Tree(over_mpi=True), CollectiveKind.BROADCAST),
        (Tree(over_mpi=True), CollectiveKind.REDUCE),
        (TwoTrees(over_mpi=True), CollectiveKind.REDUCE),
        (Forwarding(over_mpi=True), CollectiveKind.ALL_TO_ALL),
    ],
)
def test_mpi_messages_need_no_addresses_and_no_announcement(phases_of, algorithm, kind):
    phases = phases_of(algorithm, kind, (4, 4))
    assert algorithm.transport == "mpi"
    assert "_mpi" in algorithm.name
    assert not telling(phases)
    assert not any(phase.announced for phase in phases)


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [
        (WholeExchange(), CollectiveKind.ALL_REDUCE),
        (Tree(), CollectiveKind.REDUCE),
        (Forwarding(), CollectiveKind.ALL_TO_ALL),
    ],
)
def test_receivers_of_long_puts_announce_that_they_are_ready(phases_of, algorithm, kind):
    assert algorithm.transport == "utofu"
    assert all(phase.announced for phase in moving(phases_of(algorithm, kind, (4, 4))))


# whom it serves


@both_distances
@pytest.mark.parametrize(
    ("family", "kind"),
    [
        (WholeExchange, CollectiveKind.ALL_REDUCE),
        (Halving, CollectiveKind.ALL_GATHER),
        (Tree, CollectiveKind.SCATTER),
        (TwoTrees, CollectiveKind.REDUCE),
        (Forwarding, CollectiveKind.ALL_TO_ALL),
    ],
)
def test_extents_that_are_no_powers_of_two_and_lone_members_are_not_served(phases_of, job, bine, family, kind):
    algorithm = family(bine=bine)
    assert phases_of(algorithm, kind, (2, 3, 4)) is None
    assert phases_of(algorithm, kind, (4, 2, 4))
    part = job((2, 2, 2))
    assert algorithm.phases(kind, part.nodes[:, None], topology=part) is None
    assert algorithm.phases(kind, part.nodes[:6][None], topology=part) is None
    # Part of the job stands in a line, of which four is a power of two.
    assert algorithm.phases(kind, part.nodes[:4][None], topology=part)


# time


def test_a_whole_exchange_takes_latency_hops_and_the_buffer_for_each_step(machine_of):
    free = Transport(regimes=(Regime(latency_s=1e-6),), addition_bytes_per_s=1e30)
    machine = machine_of(
        2, 2, 2, 2, 3, 2, wrap=(True, True, True, False, True, False), unit=(3, 4, 5), transports={"utofu": free}
    )
    part = Tofu.of(machine).allocate(64, shape=(4, 4, 4))
    phases = WholeExchange(bine=False).phases(CollectiveKind.ALL_REDUCE, part.nodes[None], topology=part)
    # Three axes, on each a partner one hop and one two hops away; 1 GB/s, 100 ns a hop.
    expected_s = 6 * (1e-6 + 1e6 / 1e9) + 3 * (1 + 2) * 1e-7
    assert phases_cost(phases, part, transport="utofu").seconds(1e6) == pytest.approx(expected_s)


@pytest.mark.parametrize(
    ("algorithm", "name"),
    [
        (Halving(bine=True, lanes=6, segment_bytes=4096), "bine_halving_x6/4096"),
        (WholeExchange(bine=False, lanes=3), "doubling_whole_x3"),
        (Tree(buffered=True, lanes=2), "bine_tree_buffered_x2"),
        (Tree(nearest_first=False), "bine_tree_far_x1"),
        (TwoTrees(over_mpi=True), "bine_two_trees_mpi_x1"),
        (Forwarding(bine=False), "doubling_forwarding_x1"),
    ],
)
def test_names_say_distances_family_segment_and_lanes(algorithm, name):
    assert algorithm.name == name
    assert not algorithm.automatic
