"""Searches beside simulations of all plans there are."""

from dataclasses import replace

import pytest
from fujimi_core.errors import JobError, MachineError
from fujimi_core.facilities import PowerState
from fujimi_core.job import Job, ParallelSpec, Schedule
from fujimi_core.machine import Machine
from fujimi_core.plugins import Plugins
from fujimi_sim.planner import space
from fujimi_sim.planner.report import Objective
from fujimi_sim.planner.search import search
from fujimi_sim.planner.space import Candidate, Size, job_of, layouts, placements, rhythms, thrifts
from fujimi_sim.simulation import Point, simulate

from .conftest import DEPTH, Beads, machine, of_batch


@pytest.fixture(autouse=True)
def _plain_schedules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beads have no others."""
    monkeypatch.setattr(space, "_PLAIN", (Schedule.ONE_F_ONE_B, Schedule.GPIPE))
    monkeypatch.setattr(space, "_LOOPED", ())


def all_simulated(job: Job, where: Machine, nodes: int, plugins: Plugins, *, fewer: bool) -> list[Point]:
    """Every plan that can be captured and fits, one after the other."""
    found = []
    size = Size(ranks=nodes, devices=1, depth=DEPTH, sequence=1, fewer=fewer, offloads=True)
    for tensor in (1, 2, 4):
        for layout in layouts(job, size, tensor=tensor):
            for rhythm in rhythms(layout, size, batch=job.batch_on(layout.data)):
                for thrift in thrifts(layout, rhythm, size):
                    plan = job_of(job, Candidate(layout, rhythm, thrift), placements(layout)[0])
                    workload = plugins.capture(plan, layout.ranks)
                    found.append(simulate(workload, where, layout.ranks, plugins=plugins))
    return [point for point in found if point.memory_fits]


@pytest.mark.parametrize(("memory_bytes", "bandwidth"), [(2.5e9, 1e11), (1.2e9, 1e9)])
def test_best_plan_is_that_of_all_simulations(
    job: Job, plugins: Plugins, memory_bytes: float, bandwidth: float
) -> None:
    where = machine(memory_bytes=memory_bytes, bandwidth_bytes_per_s=bandwidth)
    job = of_batch(job, 4)
    everything = all_simulated(job, where, 4, plugins, fewer=False)
    report = search(job, where, 4, plugins=plugins, top=3)
    assert report.best[0].point.step_s == pytest.approx(min(point.step_s for point in everything), rel=1e-9)


def test_node_hours_may_want_fewer_nodes(job: Job, plugins: Plugins) -> None:
    where = machine(memory_bytes=9e9, bandwidth_bytes_per_s=1e8)
    everything = all_simulated(of_batch(job, 2), where, 2, plugins, fewer=True)
    report = search(of_batch(job, 2), where, 2, plugins=plugins, objective=Objective.NODE_HOURS)
    least = min(point.nodes * point.step_s / 3600 / 2 for point in everything)
    assert report.best[0].cost == pytest.approx(least, rel=1e-9)
    assert report.best[0].nodes == 1
    assert search(of_batch(job, 2), where, 2, plugins=plugins).best[0].nodes == 2


def test_energy_is_that_of_nodes_that_train(job: Job, plugins: Plugins) -> None:
    report = search(job, machine(), 4, plugins=plugins, objective=Objective.ENERGY)
    for each in report.best:
        assert each.cost == pytest.approx(150.0 * each.nodes * each.point.step_s / 8)


@pytest.mark.parametrize(("eco_w", "leanest"), [(1.0, "eco"), (149.9, "normal")])
def test_energy_is_that_of_the_power_state_in_which_it_is_least(
    job: Job, plugins: Plugins, eco_w: float, leanest: str
) -> None:
    where = machine()
    assert where.power is not None
    states = (*where.power.states, PowerState(name="eco", arithmetic=0.5, busy_w=eco_w))
    where = replace(where, power=replace(where.power, states=states))
    best = search(of_batch(job, 1), where, 1, plugins=plugins, objective=Objective.ENERGY).best[0]
    device = where.node.device
    peaks = {dtype: peak / 2 for dtype, peak in device.peak_flops_per_s.items()}
    slow = replace(where, node=replace(where.node, device=replace(device, peak_flops_per_s=peaks)))
    workload = plugins.capture(replace(of_batch(job, 1), parallel=best.parallel), 1)
    joules = {
        "eco": eco_w * simulate(workload, slow, 1, plugins=plugins).step_s,
        "normal": 150.0 * simulate(workload, where, 1, plugins=plugins).step_s,
    }
    assert best.power_state == leanest == min(joules, key=lambda name: joules[name])
    assert best.cost == pytest.approx(joules[leanest], rel=1e-9)


def test_machine_that_does_not_tell_its_power_has_no_least_energy(job: Job, plugins: Plugins) -> None:
    with pytest.raises(MachineError, match="'toy' does not tell its power: ask for time or node-hours"):
        search(job, replace(machine(), power=None), 4, plugins=plugins, objective=Objective.ENERGY)


def test_plan_that_fits_nowhere_says_what_the_leanest_needs(job: Job, plugins: Plugins) -> None:
    with pytest.raises(
        JobError,
        match=r"no plan fits on 2 nodes of 'toy': the leanest of \d+ plans needs .* a rank, and abacus has 1 MB",
    ):
        search(job, machine(memory_bytes=1e6), 2, plugins=plugins)


def test_more_nodes_than_there_are_cannot_be_planned_for(job: Job, plugins: Plugins) -> None:
    with pytest.raises(MachineError, match="machine 'toy' has 8 nodes; 9 cannot be used"):
        search(job, machine(), 9, plugins=plugins)


def test_plan_of_the_job_is_simulated_with_its_rank_however_bad(job: Job, plugins: Plugins) -> None:
    bad = replace(job, parallel=ParallelSpec(tensor=4, microbatch=1, zero=3))
    report = search(bad, machine(bandwidth_bytes_per_s=1e7), 4, plugins=plugins, top=1)
    assert report.own is not None
    assert report.own.parallel.tensor == 4
    assert report.own.point.step_s > report.best[0].point.step_s
    assert report.own.rank > 1
    assert "all_reduce along tp" in report.own.why
    assert report.own_axes is not None
    assert report.own_axes.parallel.tensor == 4
    assert report.own_axes.point.step_s <= report.own.point.step_s


def test_best_plan_of_the_job_has_rank_one(job: Job, plugins: Plugins) -> None:
    best = search(job, machine(), 4, plugins=plugins, top=1).best[0]
    report = search(replace(job, parallel=best.parallel), machine(), 4, plugins=plugins, top=1)
    assert report.own == report.best[0]
    assert report.own is not None
    assert (report.own.rank, report.own.why) == (1, "")


def test_plan_of_the_job_that_cannot_be_says_why(job: Job, plugins: Plugins) -> None:
    report = search(replace(job, parallel=ParallelSpec(tensor=3)), machine(), 4, plugins=plugins, top=1)
    assert report.own is None
    assert "4 ranks are no multiple of tensor 3" in report.own_refused


def test_batch_that_does_not_divide_into_all_ranks_leaves_nodes_unused(job: Job, plugins: Plugins) -> None:
    report = search(of_batch(job, 3), machine(memory_bytes=9e9), 5, plugins=plugins, top=1)
    assert report.best[0].nodes <= 4
    assert report.best[0].point.ranks == report.best[0].nodes


def test_counts_add_up(job: Job, plugins: Plugins, beads: Beads) -> None:
    report = search(job, machine(), 4, plugins=plugins)
    counts = report.counts
    assert counts.looked_at > counts.refused + counts.too_large
    assert counts.simulated >= 3
    assert beads.captured > counts.simulated
