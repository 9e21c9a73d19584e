from collections import Counter

import numpy as np
import pytest
from fujimi_core.workload import CollectiveKind
from fujimi_sim.network.collectives.doubling import Rabenseifner, RecursiveDoubling, RecursiveHalving
from fujimi_sim.network.collectives.members import Folding
from fujimi_sim.network.torus import Torus

MEMBERS = [1, 2, 3, 4, 6, 7, 8, 13, 16, 33]


def pairs(phase):
    return list(zip(phase.src.tolist(), phase.dst.tolist(), strict=True))


@pytest.fixture
def phases_of(machine_of):
    def phases(algorithm, kind, members):
        return algorithm.phases(kind, np.arange(members)[None], topology=Torus.of(machine_of(33)))

    return phases


@pytest.mark.parametrize("members", MEMBERS)
def test_recursive_doubling_adds_everyone_up_once(phases_of, members):
    sums = [Counter({rank: 1}) for rank in range(members)]
    for phase in phases_of(RecursiveDoubling(), CollectiveKind.ALL_REDUCE, members):
        before = [sum_.copy() for sum_ in sums]
        for src, dst in pairs(phase):
            sums[dst] = before[dst] + before[src] if phase.reduces else before[src]
    assert all(sum_ == Counter(range(members)) for sum_ in sums)


@pytest.mark.parametrize("members", MEMBERS)
def test_each_step_of_a_halving_sends_the_blocks_of_the_other_half(phases_of, members):
    folding = Folding.of(members)
    blocks_of = [1 + (rank in folding.taking) for rank in folding.inner.tolist()]
    phases = [phase for phase in phases_of(RecursiveHalving(), CollectiveKind.REDUCE_SCATTER, members) if phase.reduces]
    left = len(folding.inner)
    for phase in phases[len(phases) - (left.bit_length() - 1) :]:
        left //= 2
        halves = [sum(blocks_of[first : first + left]) for first in range(0, len(blocks_of), left)]
        assert phase.share * members == pytest.approx(max(halves))


@pytest.mark.parametrize("members", [2, 4, 8, 16])
def test_the_largest_messages_of_rabenseifner_go_to_the_nearest(phases_of, members):
    phases = phases_of(Rabenseifner(), CollectiveKind.ALL_REDUCE, members)
    for phase in phases:
        (distance,) = {abs(src - dst) for src, dst in pairs(phase)}
        assert phase.share == 0.5 / distance


def test_all_groups_run_at_once(machine_of):
    groups = np.array([[0, 1], [2, 3]])
    (phase,) = RecursiveDoubling().phases(CollectiveKind.ALL_REDUCE, groups, topology=Torus.of(machine_of(4)))
    assert sorted(pairs(phase)) == [(0, 1), (1, 0), (2, 3), (3, 2)]


@pytest.mark.parametrize("members", MEMBERS)
def test_the_first_member_takes_part_in_a_fold(members):
    folding = Folding.of(members)
    assert folding.inner[0] == 0
    assert sorted([*folding.inner, *folding.handing]) == list(range(members))
    assert len(folding.inner).bit_count() == 1
