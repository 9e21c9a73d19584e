import numpy as np
import pytest
from fujimi_core.workload import CollectiveKind
from fujimi_sim.network.collectives.ring import Ring
from fujimi_sim.network.timing import phases_cost
from fujimi_sim.network.torus import Torus

ADDED_BYTES_PER_S = 0.75e12 / 3  # the test device reads two operands and writes a sum


def ring_s(machine, kind, nbytes, groups=None):
    torus = Torus.of(machine)
    groups = np.arange(machine.nodes)[None] if groups is None else groups
    return phases_cost(Ring().phases(kind, groups, topology=torus), torus).seconds(nbytes)


@pytest.mark.parametrize("members", [2, 5, 16])
def test_all_reduce_on_a_ring_takes_what_the_formula_says(machine_of, members):
    machine = machine_of(members, link=1e9, hop_s=1e-7, message_s=1e-6)
    step_s = 1e-6 + 1e-7 + 8e6 / (members * 1e9)
    addition_s = (members - 1) * 8e6 / members / ADDED_BYTES_PER_S
    expected_s = 2 * (members - 1) * step_s + addition_s
    assert ring_s(machine, CollectiveKind.ALL_REDUCE, 8e6) == pytest.approx(expected_s, rel=1e-12)


def test_all_gather_adds_nothing_up(machine_of):
    expected_s = 4 * (1e-6 + 1e-7 + 1e6 / (5 * 1e9))
    assert ring_s(machine_of(5), CollectiveKind.ALL_GATHER, 1e6) == pytest.approx(expected_s, rel=1e-12)


def test_all_reduce_is_reduce_scatter_and_all_gather(machine_of):
    machine = machine_of(7)
    parts = [ring_s(machine, kind, 1e6) for kind in (CollectiveKind.REDUCE_SCATTER, CollectiveKind.ALL_GATHER)]
    assert ring_s(machine, CollectiveKind.ALL_REDUCE, 1e6) == pytest.approx(sum(parts))


def test_groups_that_share_links_wait_for_each_other(machine_of):
    machine = machine_of(8, hop_s=0.0, message_s=0.0)
    every_second = np.arange(8).reshape(4, 2).T
    alone = ring_s(machine, CollectiveKind.ALL_GATHER, 1e6, every_second[:1])
    assert ring_s(machine, CollectiveKind.ALL_GATHER, 1e6, every_second) == pytest.approx(2 * alone)


def test_one_member_has_nothing_to_do(machine_of):
    assert ring_s(machine_of(3), CollectiveKind.ALL_REDUCE, 1e6, np.arange(3)[:, None]) == 0.0
