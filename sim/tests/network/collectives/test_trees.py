from collections import Counter

import numpy as np
import pytest
from fujimi_core.workload import CollectiveKind
from fujimi_sim.network.collectives.trees import Binomial, Dissemination, RecursiveDoubling
from fujimi_sim.network.torus import Torus

MEMBERS = [1, 2, 3, 4, 6, 7, 8, 13, 16]


@pytest.fixture
def phases_of(machine_of):
    def phases(algorithm, members):
        (kind,) = algorithm.kinds
        return algorithm.phases(kind, np.arange(members)[None], topology=Torus.of(machine_of(16)))

    return phases


def pairs(phase):
    return list(zip(phase.src.tolist(), phase.dst.tolist(), strict=True))


@pytest.mark.parametrize("members", MEMBERS)
def test_recursive_doubling_adds_everyone_up_once(phases_of, members):
    sums = [Counter({rank: 1}) for rank in range(members)]
    for phase in phases_of(RecursiveDoubling(), members):
        before = [sum_.copy() for sum_ in sums]
        for src, dst in pairs(phase):
            sums[dst] = before[dst] + before[src] if phase.reduces else before[src]
    assert all(sum_ == Counter(range(members)) for sum_ in sums)


@pytest.mark.parametrize("members", MEMBERS)
def test_dissemination_tells_everyone_of_everyone_without_bytes(phases_of, members):
    heard = [{rank} for rank in range(members)]
    phases = phases_of(Dissemination(), members)
    for phase in phases:
        before = [set(each) for each in heard]
        for src, dst in pairs(phase):
            heard[dst] |= before[src]
        assert phase.share == 0.0
    assert all(each == set(range(members)) for each in heard)
    assert len(phases) == int(np.ceil(np.log2(members)))


@pytest.mark.parametrize("members", MEMBERS)
def test_a_broadcast_reaches_everyone_once_from_somebody_who_has_it(phases_of, members):
    reached = {0}
    phases = phases_of(Binomial(), members)
    for phase in phases:
        have_it = set(reached)
        for src, dst in pairs(phase):
            assert src in have_it
            assert dst not in reached
            reached.add(dst)
    assert reached == set(range(members))
    assert len(phases) == int(np.ceil(np.log2(members)))


def test_all_groups_run_at_once(machine_of):
    groups = np.array([[0, 1], [2, 3]])
    (phase,) = RecursiveDoubling().phases(CollectiveKind.ALL_REDUCE, groups, topology=Torus.of(machine_of(4)))
    assert sorted(pairs(phase)) == [(0, 1), (1, 0), (2, 3), (3, 2)]
