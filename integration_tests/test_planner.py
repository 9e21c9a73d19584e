"""The planner's estimates beside simulations of the same plans, captured from the real program."""

import pytest
from fujimi_core.job import Offload, Recompute, Schedule, from_table
from fujimi_core.plugins import Plugins
from fujimi_sim.planner.estimate import Setting, memory_bytes, step_s
from fujimi_sim.planner.parts import Book
from fujimi_sim.planner.pieces import Captures
from fujimi_sim.planner.search import search
from fujimi_sim.planner.shares import Table
from fujimi_sim.planner.space import Candidate, Layout, Rhythm, Thrift, job_of
from fujimi_sim.planner.traffic import Network
from fujimi_sim.simulation import draw_slowness, remembered, simulate

DEPTH, RANKS = 6, 12
PLAIN = Thrift(0, Recompute.NONE, Offload.NONE)


def candidate(tensor, pipeline, thrift=PLAIN, *, schedule=Schedule.ONE_F_ONE_B, virtual_stages=1, microbatch=1):
    layout = Layout(tensor, pipeline, 1, RANKS // tensor // pipeline)
    return Candidate(layout, Rhythm(schedule, virtual_stages, microbatch), thrift)


PLANS = [
    candidate(1, 1, microbatch=2),
    candidate(2, 3),
    candidate(2, 2, Thrift(1, Recompute.FULL, Offload.NONE), schedule=Schedule.GPIPE),
    candidate(1, 3, Thrift(2, Recompute.SELECTIVE, Offload.NONE)),
    candidate(2, 1, Thrift(3, Recompute.NONE, Offload.NONE), microbatch=2),
    candidate(4, 3, Thrift(0, (0, 1, 2), Offload.OPTIMIZER)),
    candidate(1, 3, schedule=Schedule.INTERLEAVED, virtual_stages=2),
    candidate(2, 3, schedule=Schedule.ZERO_BUBBLE),
]


@pytest.fixture(scope="module")
def plugins():
    return Plugins.installed(strict=True)


@pytest.fixture(scope="module")
def job():
    return from_table(
        {
            "name": "planned",
            "model": {"name": "gpt", "width": 512, "depth": DEPTH, "heads": 8},
            "data": {"family": "tokens", "sequence": 512, "vocabulary": 8192},
            "train": {"steps": 1, "global_batch": 72},
            "parallel": {"precision": "float32"},
        }
    )


@pytest.fixture(scope="module")
def setting(job, plugins):
    device = plugins.machine("fugaku").node.device
    captures = Captures(job, plugins=plugins, kernel_seconds=remembered(plugins, device))
    depth = captures.depth(1)
    slowness = draw_slowness(RANKS, std=plugins.machine("fugaku").noise.compute_std, seed=0)
    return Setting(
        table=Table(Book(captures, device), depth=depth),
        depth=depth,
        spec=job.parallel,
        device=device,
        slowest=float(slowness.max()),
    )


def test_depth_of_a_network_is_found_from_shallow_ones(setting):
    assert setting.depth == DEPTH


@pytest.mark.parametrize("plan", PLANS)
def test_estimates_are_near_simulations(job, setting, plugins, plan):
    machine, batch = plugins.machine("fugaku"), job.batch_on(plan.layout.data)
    network = Network(plan.layout, ("pp", "dp", "sp", "tp"), machine=machine, dtype="float32", plugins=plugins)
    point = simulate(plugins.capture(job_of(job, plan), RANKS), machine, RANKS, plugins=plugins)
    assert step_s(plan, setting, network, batch=batch) == pytest.approx(point.step_s, rel=0.15)
    assert memory_bytes(plan, setting, batch=batch) == pytest.approx(point.memory_bytes_per_rank, rel=0.15)


def test_best_plan_is_simulated_as_it_is_captured(job, plugins):
    report = search(job, plugins.machine("fugaku"), 2, plugins=plugins, top=1)
    assert report.best[0].point.memory_fits
    assert report.own is not None
    assert report.own.point.step_s >= report.best[0].point.step_s
