import numpy as np
import pytest
from fujimi_sim.network.collectives.rings import folded, neighbours, ring_phase


@pytest.mark.parametrize("members", range(2, 9))
def test_a_folded_ring_visits_everyone_in_steps_of_at_most_two(members):
    order = folded(members)
    assert sorted(order) == list(range(members))
    assert max(abs(here - there) for here, there in zip(order, np.roll(order, -1), strict=True)) <= 2


def test_everyone_sends_to_the_next_and_the_last_to_the_first():
    src, dst = neighbours(np.array([[4, 7, 5]]))
    assert dict(zip(src.tolist(), dst.tolist(), strict=True)) == {4: 7, 7: 5, 5: 4}


def test_both_ways_sends_half_to_each_neighbour():
    phase = ring_phase(np.array([[0, 1, 2, 3]]), share=1.0, both_ways=True)
    pairs = set(zip(phase.src.tolist(), phase.dst.tolist(), strict=True))
    assert pairs == {(0, 1), (1, 2), (2, 3), (3, 0), (1, 0), (2, 1), (3, 2), (0, 3)}
    assert (phase.share, phase.repeats) == (1 / 8, 3)
