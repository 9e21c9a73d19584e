import numpy as np
import pytest
from fujimi_core.workload import CollectiveKind
from fujimi_sim.network.collectives.trees import Binomial, reduced, scattered
from fujimi_sim.network.torus import Torus

MEMBERS = [1, 2, 3, 4, 6, 7, 8, 13, 16]


def pairs(phase):
    return list(zip(phase.src.tolist(), phase.dst.tolist(), strict=True))


@pytest.mark.parametrize("members", MEMBERS)
def test_a_broadcast_reaches_everyone_once_from_somebody_who_has_it(machine_of, members):
    reached = {0}
    topology = Torus.of(machine_of(16))
    phases = Binomial().phases(CollectiveKind.BROADCAST, np.arange(members)[None], topology=topology)
    for phase in phases:
        have_it = set(reached)
        for src, dst in pairs(phase):
            assert src in have_it
            assert dst not in reached
            reached.add(dst)
    assert reached == set(range(members))


@pytest.mark.parametrize("members", MEMBERS)
def test_a_reduce_adds_everyone_up_once(members):
    sums = [{rank} for rank in range(members)]
    for phase in reduced(np.arange(members)[None]):
        assert phase.reduces
        for src, dst in pairs(phase):
            assert not sums[src] & sums[dst]
            sums[dst] |= sums[src]
            sums[src] = set()
    assert sums[0] == set(range(members))


@pytest.mark.parametrize("members", MEMBERS)
def test_a_scatter_sends_the_blocks_of_whoever_is_below(members):
    below = {rank: {rank} for rank in range(members)}
    for phase in reversed(scattered(np.arange(members)[None])):
        blocks = [len(below[dst]) for _, dst in pairs(phase)]
        assert max(blocks) == round(phase.share * members)
        for src, dst in pairs(phase):
            below[src] |= below.pop(dst)
    assert below == {0: set(range(members))}
