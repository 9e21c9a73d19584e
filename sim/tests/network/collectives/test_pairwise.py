import numpy as np
import pytest
from fujimi_core.network import Phase
from fujimi_core.workload import CollectiveKind
from fujimi_sim.network.collectives.linear import Linear
from fujimi_sim.network.collectives.members import MOST_MESSAGES
from fujimi_sim.network.collectives.pairwise import Pairwise, distances
from fujimi_sim.network.timing import phases_cost
from fujimi_sim.network.torus import Torus


@pytest.mark.parametrize("members", [1, 2, 7, 1024])
def test_each_distance_is_counted_in_small_groups(members):
    assert distances(members) == dict.fromkeys(range(1, members), 1)


@pytest.mark.parametrize(("members", "groups"), [(1025, 1), (158_976, 1), (512, 310), (2, 79_488)])
def test_a_sample_stands_for_all_steps_of_large_groups(members, groups):
    sampled = distances(members, groups=groups)
    assert sum(sampled.values()) == members - 1
    assert all(1 <= distance < members for distance in sampled)
    assert len(sampled) * members * groups <= max(MOST_MESSAGES, 16 * members * groups)


@pytest.mark.parametrize("extents", [(12, 12, 12), (2, 3, 2, 7, 5, 4)])
def test_a_sample_takes_as_long_as_all_steps(machine_of, extents):
    machine = machine_of(*extents)
    torus, members = Torus.of(machine), machine.nodes
    sample = Pairwise().phases(CollectiveKind.ALL_TO_ALL, torus.nodes[None], topology=torus)
    everyone = [
        Phase(src=torus.nodes, dst=np.roll(torus.nodes, -distance), share=1 / members) for distance in range(1, members)
    ]
    assert len(sample) < members / 10
    for nbytes in (0, 1e9):
        sampled_s, all_s = (phases_cost(phases, torus).seconds(nbytes) for phases in (sample, everyone))
        assert sampled_s == pytest.approx(all_s, rel=0.05)


def test_too_many_messages_at_once_are_not_counted(machine_of):
    machine = machine_of(2001)
    torus = Torus.of(machine)
    assert Linear().phases(CollectiveKind.ALL_TO_ALL, torus.nodes[None], topology=torus) is None
    assert Linear().phases(CollectiveKind.ALL_TO_ALL, torus.nodes[None, :2000], topology=torus) is not None
    assert Linear().phases(CollectiveKind.GATHER, torus.nodes[None], topology=torus) is not None
