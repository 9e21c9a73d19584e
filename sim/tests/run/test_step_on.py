"""A step on nodes of equal speed, and to what the delay of a straggler comes."""

from dataclasses import replace

import numpy as np
import pytest
from fujimi_core.job import Job
from fujimi_core.machine import Machine
from fujimi_core.plugins import Plugins
from fujimi_sim.run.fate import Nodes
from fujimi_sim.run.step_on import even_steps
from fujimi_sim.simulation import simulate

NODES = 16


def test_step_is_that_of_simulate_without_noise(job: Job, machine: Machine, plugins: Plugins) -> None:
    workload = plugins.capture(job, NODES)
    (step,) = even_steps(workload, machine, NODES, arithmetic=[1.0], plugins=plugins)
    point = simulate(workload, machine, NODES, plugins=plugins)
    assert step.step_s == pytest.approx(point.step_s)
    assert step.compute_s == pytest.approx(np.full(NODES, point.compute_s))


def test_half_the_arithmetic_computes_twice_as_long_and_communicates_as_long(
    job: Job, machine: Machine, plugins: Plugins
) -> None:
    one, half = even_steps(plugins.capture(job, NODES), machine, NODES, arithmetic=[1.0, 0.5], plugins=plugins)
    assert half.compute_s == pytest.approx(2 * one.compute_s)
    assert half.step_s - half.compute_s[0] == pytest.approx(one.step_s - one.compute_s[0])


def test_step_waits_for_its_slowest_rank_as_the_replay_says(job: Job, machine: Machine, plugins: Plugins) -> None:
    noisy = replace(machine, noise=replace(machine.noise, compute_std=0.05))
    workload = plugins.capture(job, NODES)
    (step,) = even_steps(workload, noisy, NODES, arithmetic=[1.0], plugins=plugins)
    for seed in range(5):
        point = simulate(workload, noisy, NODES, plugins=plugins, seed=seed)
        sigma = np.sqrt(np.log1p(0.05**2))
        drawn = np.random.default_rng(seed).lognormal(0.0, sigma, NODES)
        nodes = Nodes.of(step.compute_s[:, None], (drawn / drawn.mean())[:, None])
        assert step.step_s + nodes.slowest_s({}) == pytest.approx(point.step_s, rel=1e-9)
