"""Chance: laws of failure, and how slow the slowest of many nodes is."""

import math

import numpy as np
import pytest
from fujimi_core.facilities import Reliability
from fujimi_core.machine import Noise
from fujimi_sim.run.fate import Fate, Nodes, draw_nodes, time_between_failures_s
from scipy import integrate, stats


@pytest.mark.parametrize("uniform", [0.0, 0.1, 0.5, 0.999])
def test_weibull_of_shape_1_is_exponential(uniform: float) -> None:
    expected = stats.expon(scale=70.0).ppf(uniform)
    assert time_between_failures_s(uniform, mean_s=70.0, shape=1.0) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [0.5, 0.7, 1.0, 2.0])
def test_mean_time_between_failures_does_not_depend_on_the_shape(shape: float) -> None:
    mean_s, _ = integrate.quad(lambda u: time_between_failures_s(u, mean_s=70.0, shape=shape), 0, 1, limit=200)
    assert mean_s == pytest.approx(70.0, rel=1e-3)


@pytest.mark.parametrize("uniform", [0.03, 0.5, 0.97])
def test_weibull_is_that_of_scipy(uniform: float) -> None:
    law = stats.weibull_min(0.7, scale=70.0 / math.gamma(1 + 1 / 0.7))
    assert time_between_failures_s(uniform, mean_s=70.0, shape=0.7) == pytest.approx(law.ppf(uniform))


def even(nodes: int, devices: int = 1) -> np.ndarray:
    return np.ones((nodes, devices))


def test_slowest_of_many_nodes_is_as_slow_as_the_largest_of_many_normal_numbers() -> None:
    # log-normal: exp(sigma z - sigma²/2) of the largest of n normal z, whose mean is an integral
    n, std, seeds = 1_000, 0.0118, 400
    sigma = math.sqrt(math.log1p(std**2))

    def density(z: float) -> float:
        return math.expm1(sigma * z - sigma**2 / 2) * n * stats.norm.pdf(z) * stats.norm.cdf(z) ** (n - 1)

    expected, _ = integrate.quad(density, 0, 8)
    found = [draw_nodes(even(n), Noise(compute_std=std), seed=seed).slowest_s({}) for seed in range(seeds)]
    assert np.mean(found) == pytest.approx(expected, abs=4 * np.std(found) / math.sqrt(seeds))
    assert 0.03 < expected < 0.05


def test_a_job_has_a_straggler_with_the_probability_that_not_all_are_sound() -> None:
    n, share, seeds = 50, 0.02, 1_000
    noise = Noise(slow_share=share, slow_factor=1.07)
    found = [draw_nodes(even(n), noise, seed=seed).slowest_s({}) for seed in range(seeds)]
    assert set(np.round(found, 12)) == {0.0, 0.07}
    expected = 1 - (1 - share) ** n
    slow = sum(delay_s > 0 for delay_s in found) / seeds
    assert slow == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / seeds))


def test_node_is_as_slow_as_its_slowest_rank_and_a_busier_rank_delays_more() -> None:
    compute_s = np.array([[1.0, 4.0], [2.0, 2.0]])
    slowness = np.array([[1.5, 1.0], [1.0, 1.1]])
    nodes = Nodes.of(compute_s, slowness)
    assert nodes.delay_s.tolist() == pytest.approx([0.5, 0.2])
    assert nodes.slowest_s({}) == pytest.approx(0.5)


def test_nodes_that_were_replaced_delay_no_longer() -> None:
    slowness = 1 + np.arange(200.0)[:, None] / 1_000  # more nodes than are kept in order
    nodes = Nodes.of(even(200), slowness)
    assert nodes.slowest_s({199: 0.01, 198: 0.02}) == pytest.approx(0.197)
    assert nodes.slowest_s(dict.fromkeys(range(100, 200), 0.03)) == pytest.approx(0.099)
    assert nodes.slowest_s(dict.fromkeys(range(200), 0.03)) == 0.03
    assert nodes.slowest_s(dict.fromkeys(range(1, 200), -math.inf)) == 0.0


def test_twice_the_nodes_fail_twice_as_often() -> None:
    reliability = Reliability(node_mtbf_s=1e6)
    one, other = (Fate(draw_nodes(even(3), Noise(), seed=0), Noise(), reliability, seed=5) for _ in range(2))
    assert one.failure_s(10) == pytest.approx(2 * other.failure_s(20))


def test_nothing_fails_where_nothing_is_known_of_failures() -> None:
    fate = Fate(draw_nodes(even(3), Noise(), seed=0), Noise(), None, seed=5)
    assert fate.failure_s(10) == math.inf
    assert not fate.hangs()
    assert not fate.can_hang


def test_replacements_are_drawn_as_the_first_nodes_were() -> None:
    noise = Noise(compute_std=0.1)
    fate = Fate(Nodes.of(even(1), even(1)), noise, Reliability(node_mtbf_s=1.0), seed=1)
    found = []
    for _ in range(4_000):
        fate.replace_node()
        found.append(fate.delay_s())
    assert np.mean(found) == pytest.approx(0.0, abs=4 * 0.1 / math.sqrt(4_000))
    assert np.std(found) == pytest.approx(0.1, rel=0.05)


def test_node_that_nobody_replaces_delays_nobody() -> None:
    fate = Fate(Nodes.of(even(1), 2 * even(1)), Noise(), None, seed=1)
    assert fate.delay_s() == 1.0
    fate.drop_node()
    assert fate.delay_s() == -math.inf


def test_dropped_nodes_are_others_when_the_job_gets_its_nodes_anew() -> None:
    fate = Fate(Nodes.of(even(3), 2 * even(3)), Noise(), None, seed=1)
    for _ in range(2):
        for _ in range(2):
            fate.drop_node()  # one that is still there
        assert fate.delay_s() > -math.inf
        fate.replace_dropped_nodes()
    fate.replace_dropped_nodes()
    for _ in range(3):
        fate.drop_node()
    assert fate.delay_s() == -math.inf
