from collections import Counter

import numpy as np
import pytest
from fujimi_core.workload import CollectiveKind
from fujimi_sim.network.collectives import spread
from fujimi_sim.network.collectives.spread import DISTANCES_COUNTED, Spread
from fujimi_sim.network.loads import load
from fujimi_sim.network.timing import phases_cost
from fujimi_sim.network.tofu import Tofu
from fujimi_sim.network.torus import Torus


def phase_of(topology, everyone):
    (phase,) = Spread().phases(CollectiveKind.ALL_TO_ALL, everyone, topology=topology)
    return phase


@pytest.mark.parametrize("members", [2, 3, 8, 30])
def test_everybody_sends_a_part_to_everybody_else_through_one_interface(machine_of, members):
    torus = Torus.of(machine_of(members))
    phase = phase_of(torus, torus.nodes[None])
    assert phase.interfaces == 1
    pairs = Counter(zip(phase.src.tolist(), phase.dst.tolist(), strict=True))
    assert pairs == Counter((src, dst) for src in range(members) for dst in range(members) if src != dst)
    assert phase.share == 1 / members


@pytest.mark.parametrize(
    ("extents", "wrap"), [((16, 16), True), ((8, 4, 4), False), ((5, 9), (True, False)), ((64,), True)]
)
def test_one_axis_stands_for_all_messages_of_a_large_group_on_a_grid(machine_of, monkeypatch, extents, wrap):
    torus = Torus.of(machine_of(*extents, wrap=wrap))
    everyone = torus.nodes[None]
    exact = phase_of(torus, everyone)
    monkeypatch.setattr(spread, "MOST_MESSAGES", 0)
    counted = phase_of(torus, everyone)
    assert len(counted.src) <= len(exact.src)
    on_links = [load(torus, each.src, each.dst).busy_s_per_byte * each.share for each in (exact, counted)]
    assert on_links[1] == pytest.approx(on_links[0])
    operations = [load(torus, each.src, each.dst).operations + each.extra_operations for each in (exact, counted)]
    assert operations[1] == operations[0]
    seconds = [phases_cost([each], torus).seconds(1e9) for each in (exact, counted)]
    assert seconds[1] == pytest.approx(seconds[0])


def test_all_of_tofu_exchanges_at_the_speed_of_its_longest_ring(fugaku):
    whole = Tofu.of(fugaku).allocate(fugaku.nodes)
    phase = phase_of(whole, whole.nodes[None])
    # On a ring of 24 with ties forward 1 + 2 + ... + 12 = 78 messages cross each link, each p / 24 blocks long.
    busy_s = load(whole, phase.src, phase.dst).busy_s_per_byte * phase.share
    assert busy_s == pytest.approx(78 / 24 / fugaku.network.link_bandwidth_bytes_per_s)


def test_a_large_group_on_no_grid_is_counted_by_some_distances(machine_of, monkeypatch):
    torus = Torus.of(machine_of(16, 16))
    monkeypatch.setattr(spread, "MOST_MESSAGES", 0)
    members = torus.nodes[:199]
    phase = phase_of(torus, members[None])
    assert len(phase.src) == DISTANCES_COUNTED * 199
    places = np.searchsorted(np.sort(members), phase.src)
    (count,) = set(np.bincount(places).tolist())
    assert count * phase.share * phase.repeats == pytest.approx(198 / 199)


def test_a_group_of_one_sends_nothing(machine_of):
    torus = Torus.of(machine_of(4))
    assert Spread().phases(CollectiveKind.ALL_TO_ALL, torus.nodes[None, :1], topology=torus) == []
