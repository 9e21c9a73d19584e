from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from fujimi_core.workload import CollectiveKind
from fujimi_sim.network.collectives.trinary import TorusRings, Trinary, neighbours_on
from fujimi_sim.network.loads import load
from fujimi_sim.network.timing import phases_cost
from fujimi_sim.network.tofu import Tofu

LINK, MESSAGE_S, HOP_S = 1e9, 1e-6, 1e-7
ADDS_BYTES_PER_S = 1e12 * 0.75 / 3
BROADCAST, REDUCE, ALL_REDUCE = CollectiveKind.BROADCAST, CollectiveKind.REDUCE, CollectiveKind.ALL_REDUCE
CUBES = [(4, 4, 4), (3, 4, 6), (6, 3, 4), (8, 6, 8)]


@pytest.fixture
def job(machine_of):
    """Part of a Tofu on which a job has a shape, and its endpoints."""

    def part(*shape, devices=1):
        several = {"devices": devices, "peer_bandwidth_bytes_per_s": 50e9} if devices > 1 else {}
        wrap, unit = (True, True, True, False, True, False), (3, 4, 5)
        tofu = Tofu.of(machine_of(4, 4, 4, 2, 3, 2, wrap=wrap, unit=unit, **several))
        found = tofu.allocate(int(np.prod(shape)), shape=shape)
        return found, (found.nodes[:, None] * devices + np.arange(devices)).reshape(1, -1)

    return part


def phases_of(algorithm, kind, part):
    topology, everyone = part
    return algorithm.phases(kind, everyone, topology=topology)


def moving(phases):
    return [phase for phase in phases if phase.src.size and phase.share]


# trees


@pytest.mark.parametrize("shape", CUBES)
@pytest.mark.parametrize("ways", [3, 6])
def test_each_node_gets_every_tree_over_a_link_of_its_own(job, shape, ways):
    # That trees reach everybody cannot be seen in a steady state, in which all messages are under way at once; but
    # each node must receive as many different messages as there are trees, and all of the buffer in them.
    (down,) = phases_of(Trinary(ways=ways), BROADCAST, job(*shape))
    assert down.share * ways == pytest.approx(1)
    assert set(Counter(down.dst.tolist()).values()) == {ways}
    assert set(Counter(down.src.tolist()).values()) == {ways}
    assert max(Counter(zip(down.src.tolist(), down.dst.tolist(), strict=True)).values()) == 1


@pytest.mark.parametrize("shape", [(4, 4, 4), (6, 3, 4), (8, 6, 8)])
@pytest.mark.parametrize("ways", [3, 6])
def test_no_link_carries_two_trees(job, shape, ways):
    topology, _ = part = job(*shape)
    (down,) = phases_of(Trinary(ways=ways), BROADCAST, part)
    routes = topology.routes(down.src, down.dst)
    assert max(int(each.messages.max(initial=0)) for each in routes.links) == 1
    assert set(routes.hops.tolist()) == {1}
    assert sum(int(each.messages.sum()) for each in routes.links) == ways * np.prod(shape)


@pytest.mark.parametrize(("ways", "depth"), [(3, (4 - 1) + (3 - 1) + (6 - 1)), (6, 2 + 1 + 3)])
def test_trees_are_as_deep_as_the_way_to_the_farthest_node(job, ways, depth):
    (down,) = phases_of(Trinary(ways=ways), BROADCAST, job(4, 3, 6))
    assert down.stages == depth


@pytest.mark.parametrize("ways", [3, 6])
def test_a_reduce_is_a_broadcast_the_other_way_and_an_all_reduce_is_both(job, ways):
    part = job(4, 4, 4)
    trees = Trinary(ways=ways, segment_bytes=4096)
    (down,), (up,) = (phases_of(trees, kind, part) for kind in (BROADCAST, REDUCE))
    assert (up.src == down.dst).all()
    assert (up.dst == down.src).all()
    assert (up.reduces, down.reduces) == (True, False)
    first, second = phases_of(trees, ALL_REDUCE, part)
    assert (first.reduces, second.reduces) == (True, False)
    sums = [phases_cost(phases, part[0]).seconds(1e6) for phases in ([up], [down], [first, second])]
    assert sums[2] == pytest.approx(sums[0] + sums[1])


@pytest.mark.parametrize(("ways", "depth"), [(3, 9), (6, 6)])
@pytest.mark.parametrize("pieces", [1, 5, 100])
def test_a_broadcast_takes_the_way_of_one_piece_and_then_a_piece_for_each_further_one(job, ways, depth, pieces):
    part = job(4, 4, 4)
    phases = phases_of(Trinary(ways=ways, segment_bytes=6000), BROADCAST, part)
    found = phases_cost(phases, part[0]).seconds(ways * pieces * 6000)
    assert found == pytest.approx(depth * (MESSAGE_S + HOP_S) + (depth + pieces - 1) * 6000 / LINK)


def test_one_rank_of_each_node_takes_part_for_all(job):
    topology, everyone = part = job(4, 4, 4, devices=4)
    handed_in, up, down, got = phases_of(Trinary(), ALL_REDUCE, part)
    assert set(up.src.tolist()) == set(down.dst.tolist()) == set(everyone[0, ::4].tolist())
    for inside in (handed_in, got):
        assert (inside.src // 4 == inside.dst // 4).all()
        assert inside.src.size == 3 * 64
        assert inside.share == 1.0
    assert (handed_in.reduces, got.reduces) == (True, False)
    assert (handed_in.dst == got.src).all()
    assert [len(phases_of(Trinary(), kind, part)) for kind in (BROADCAST, REDUCE)] == [2, 2]
    assert load(topology, handed_in.src, handed_in.dst).bottleneck == "peer"


@pytest.mark.parametrize("shape", [(8,), (4, 4), (1, 4, 4), (4, 1, 1)])
@pytest.mark.parametrize("ways", [3, 6])
def test_jobs_without_three_axes_get_no_trees(job, shape, ways):
    assert phases_of(Trinary(ways=ways), BROADCAST, job(*shape)) is None


def test_six_trees_need_rings_of_three(job):
    part = job(2, 4, 4)
    assert phases_of(Trinary(ways=6), BROADCAST, part) is None
    assert phases_of(Trinary(ways=3), BROADCAST, part)


@pytest.mark.parametrize("groups", [lambda all_: all_[:, :8], lambda all_: all_.reshape(8, 8), lambda all_: all_.T])
def test_groups_that_are_not_the_whole_job_get_no_trees(job, groups):
    topology, everyone = job(4, 4, 4)
    for algorithm in (Trinary(), TorusRings()):
        assert algorithm.phases(ALL_REDUCE, groups(everyone), topology=topology) is None


# rings


@pytest.mark.parametrize("shape", [(4, 4, 4), (2, 2, 2), (4, 4), (5, 5, 5)])
@pytest.mark.parametrize("transport", ["rdma", "utofu"])
@pytest.mark.parametrize(
    ("kind", "times"), [(ALL_REDUCE, 2), (CollectiveKind.ALL_GATHER, 1), (CollectiveKind.REDUCE_SCATTER, 1)]
)
def test_rings_pass_all_but_the_own_part_around_once_or_twice(job, shape, transport, kind, times):
    members = np.prod(shape)
    phases = moving(phases_of(TorusRings(transport=transport), kind, job(*shape)))
    each_way = sum(phase.share * phase.repeats for phase in phases)
    # One message along each axis each way.
    assert 2 * len(shape) * each_way == pytest.approx(times * (members - 1) / members)
    assert sum(phase.repeats for phase in phases) == times * len(shape) * (shape[0] - 1)
    assert all(set(Counter(phase.src.tolist()).values()) == {2 * len(shape)} for phase in phases)


def test_rings_on_unequal_axes_take_as_long_as_their_longest_part(job):
    # Stage 1: 1/4 around rings of 8 and of 2 members, that is steps of 1/32 and 1/8; seven steps for both.
    phases = moving(phases_of(TorusRings(), CollectiveKind.REDUCE_SCATTER, job(8, 2)))
    first, second = phases
    assert (first.repeats, second.repeats) == (7, 7)
    assert first.share * 7 == pytest.approx(max(1 / 4 * 7 / 8, 1 / 4 * 1 / 2))
    # Stage 2: what is left of each part, around the other ring.
    assert second.share * 7 == pytest.approx(max(1 / 32 * 1 / 2, 1 / 8 * 7 / 8))


@pytest.mark.parametrize("shape", [(4, 4, 4), (3, 4, 4)])
def test_rings_of_a_torus_keep_every_link_of_its_axes_busy_once(job, shape):
    topology, _ = part = job(*shape)
    first = moving(phases_of(TorusRings(), CollectiveKind.ALL_GATHER, part))[0]
    links = topology.routes(first.src, first.dst).links
    # Three nodes over an axis without a ring of three close with two hops, over links of their own ring.
    assert max(int(each.messages.max(initial=0)) for each in links) == (2 if 3 in shape else 1)


def test_puts_around_rings_are_announced_step_by_step_and_copied(job):
    part = job(4, 4, 4)
    plain, put = (phases_of(TorusRings(transport=each), ALL_REDUCE, part) for each in ("rdma", "utofu"))
    ready = [phase for phase in put if phase.src.size and not phase.share]
    assert sum(phase.repeats for phase in ready) == sum(phase.repeats for phase in moving(put)) == 18
    assert not [phase for phase in plain if phase.src.size and not phase.share]
    assert sum(phase.copied for phase in put) - sum(phase.copied for phase in plain) == 1.0
    assert (TorusRings().name, TorusRings(transport="utofu").name) == ("torus_rings", "torus_rings_put")


def test_a_line_has_no_rings_along_several_axes(job):
    assert phases_of(TorusRings(), ALL_REDUCE, job(8)) is None


def test_neighbours_are_one_step_along_one_axis_round_the_end():
    groups = np.arange(24).reshape(2, 12)
    src, dst = neighbours_on(groups, (3, 4), both_ways=True)
    expected = Counter()
    for base in (0, 12):
        for x in range(3):
            for y in range(4):
                here = base + 4 * x + y
                for there in ((x + 1, y), (x - 1, y), (x, y + 1), (x, y - 1)):
                    expected[here, base + 4 * (there[0] % 3) + there[1] % 4] += 1
    assert Counter(zip(src.tolist(), dst.tolist(), strict=True)) == expected
    one_way = Counter(zip(*(each.tolist() for each in neighbours_on(groups, (3, 4), both_ways=False)), strict=True))
    assert one_way <= expected
    assert one_way.total() == expected.total() / 2


def test_segments_and_directions_are_in_the_name():
    assert Trinary(ways=6, segment_bytes=4096).name == "trinary_x6/4096"
    assert Trinary().name == "trinary_x3"
    assert replace(Trinary(), segment_bytes=None).transport == "rdma"
