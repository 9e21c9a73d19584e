"""Runs of a job that a fake captures, on a toy machine that tells all or nothing of what a run meets."""

from dataclasses import replace
from typing import Protocol

import pytest
from fujimi_core.errors import JobError, MachineError
from fujimi_core.facilities import (
    Launch,
    LocalStorage,
    Power,
    PowerState,
    Reliability,
    Startup,
    Storage,
)
from fujimi_core.hookspecs import hookimpl
from fujimi_core.job import Job
from fujimi_core.machine import Machine
from fujimi_core.offers import Model
from fujimi_core.plugins import Plugins
from fujimi_core.submit_spec import SubmitSpec
from fujimi_core.workload import Memory, Workload
from fujimi_sim.run.prediction import predict_run
from fujimi_sim.run.report import RunReport
from fujimi_sim.run.text import in_words

#: 64 samples on 16 nodes: 4 matrix products of 10 ms each, and what the all-reduce of 1 MB takes.
NODES = 16
HOUR_S = 3_600.0


@pytest.fixture
def telling(machine: Machine) -> Machine:
    return replace(
        machine,
        storage=Storage(
            nodes_per_io_node=4,
            io_node_read_bytes_per_s=1e9,
            io_node_write_bytes_per_s=1e9,
            read_bytes_per_s=1e9,
            write_bytes_per_s=1e9,
            open_rate_hz=1e3,
            create_rate_hz=1e3,
            local=LocalStorage(node_bytes=1e9, io_node_read_bytes_per_s=1e9, io_node_write_bytes_per_s=1e9),
        ),
        startup=Startup(launches=(Launch(nodes=1, least_s=2.0, most_s=2.0),), program_s=30.0),
        reliability=Reliability(node_mtbf_s=NODES * 100.0),
        sources={"reliability.node_mtbf_s": "unverified: a guess"},
        power=Power(
            states=(
                PowerState(name="slow", arithmetic=0.5, busy_w=100.0),
                PowerState(name="full", arithmetic=1.0, busy_w=150.0),
            ),
            idle_w=50.0,
        ),
    )


@pytest.fixture
def long_job(job: Job) -> Job:
    return replace(job, train=replace(job.train, steps=4_000, checkpoint_every=100))


class Capture(Protocol):
    """What `conftest.Capture` is."""

    def fujimi_capture(self, job: Job, model: Model, ranks: int) -> Workload: ...


class Heavy:
    """Captures what another one does, with parameters that take 2 s to copy: 1 GB, read and written at 1 GB/s."""

    def __init__(self, other: Capture) -> None:
        self.other = other

    @hookimpl(tryfirst=True)
    def fujimi_capture(self, job: Job, model: Model, ranks: int) -> Workload:
        workload = self.other.fujimi_capture(job, model, ranks)
        memory = Memory(parameter_bytes=10**9)
        return replace(workload, roles=tuple(replace(role, memory=memory) for role in workload.roles))


def predict(job: Job, machine: Machine, plugins: Plugins, **more: int) -> RunReport:
    return predict_run(job, machine, NODES, plugins=plugins, **{"runs": 20, **more})  # type: ignore[arg-type]


def test_parts_add_up_to_the_mean_and_steps_are_those_of_the_replay(
    long_job: Job, telling: Machine, plugins: Plugins
) -> None:
    report = predict(long_job, telling, plugins)
    assert sum(report.parts_s.values()) == pytest.approx(report.time_s.mean)
    assert report.parts_s["steps_s"] == pytest.approx(4_000 * report.even_step_s)
    assert 0.040 < report.even_step_s < 0.045
    assert (report.mtbf_s, report.mtbf_source) == (100.0, "unverified: a guess")
    assert "failures: one in 1.7 min on the average (unverified: a guess)" in in_words(report)
    assert report.failures.mean > 0
    assert report.time_s.p5 <= report.time_s.p50 <= report.time_s.p95


def test_node_hours_and_energy_follow_from_the_time(long_job: Job, telling: Machine, plugins: Plugins) -> None:
    report = predict(long_job, telling, plugins, spares=3)
    assert report.node_hours.mean == pytest.approx((NODES + 3) * report.time_s.mean / HOUR_S)
    busy = ("steps_s", "stragglers_s", "reading_s", "checkpoints_s", "lost_s")
    full = next(state for state in report.states if state.is_described)
    assert full.busy_j == pytest.approx(NODES * 150.0 * sum(report.parts_s[name] for name in busy))
    idle_s = (NODES + 3) * report.time_s.mean - full.busy_j / 150.0
    assert full.idle_j == pytest.approx(50.0 * idle_s)
    assert full.energy_j == full.busy_j + full.idle_j
    assert full.sample_j * 64 == pytest.approx(full.step_j)
    assert full.step_j * 4_000 == pytest.approx(full.energy_j)


def test_half_the_arithmetic_takes_nearly_twice_as_long(long_job: Job, telling: Machine, plugins: Plugins) -> None:
    slow, full = predict(long_job, replace(telling, reliability=None), plugins).states
    assert (slow.name, slow.is_described, full.is_described) == ("slow", False, True)
    # 4,000 steps: 40 ms of kernels become 80; launch, program and 16 looks and openings of a shard stay
    assert slow.time_s - full.time_s == pytest.approx(4_000 * 0.040, rel=1e-3)


def test_seed_decides_all_of_it(long_job: Job, telling: Machine, plugins: Plugins) -> None:
    assert predict(long_job, telling, plugins) == predict(long_job, telling, plugins)
    assert predict(long_job, telling, plugins, seed=1_000).time_s != predict(long_job, telling, plugins).time_s


def test_what_the_machine_does_not_tell_is_left_out_and_said(job: Job, machine: Machine, plugins: Plugins) -> None:
    report = predict(job, machine, plugins)
    assert report.left_out == (
        "toy does not tell its storage: reading and staging take no time, checkpoints only their copy",
        "toy does not tell its startup: launching takes no time",
        "toy does not tell its reliability: nothing fails",
        "toy does not tell its power: no energy",
        "toy does not tell how unequal its nodes are: all are equal",
        "the job has no [submit]: no time limit, and any number of restarts",
    )
    assert (report.mtbf_s, report.states, report.reading, report.checkpoint.best) == (None, (), None, None)
    assert report.time_s.p95 == pytest.approx(report.even_step_s)


def test_simulated_interval_is_near_daly_s_where_checkpoints_stop_the_run(
    job: Job, machine: Machine, plugins: Plugins, capture: Capture
) -> None:
    """Without a storage a checkpoint is whole once it is copied, which is what Daly's formula is for."""
    failing = replace(machine, reliability=Reliability(node_mtbf_s=NODES * 60.0))

    plugins.register(Heavy(capture), "heavy")
    report = predict(
        replace(job, train=replace(job.train, steps=20_000, checkpoint_every=400)), failing, plugins, runs=40
    )
    checkpoint = report.checkpoint
    assert checkpoint.copy_s == pytest.approx(2.0)
    best = checkpoint.best
    assert best is not None
    neighbour = (2 * 60.0 / report.even_step_s) ** (1 / 23)  # ratio of the intervals that are tried
    assert best.daly_s / neighbour**1.5 < best.simulated_s < best.daly_s * neighbour**1.5


def test_data_that_do_not_fit_on_a_node_are_not_staged(job: Job, telling: Machine, plugins: Plugins) -> None:
    staged = replace(job, submit=SubmitSpec(nodes=NODES, time_limit_s=3_600, stage="/local"))
    assert predict(staged, telling, plugins).reading is not None
    large = replace(staged, data=replace(job.data, classes=1_000_000))
    with pytest.raises(JobError, match=r"do not fit into the 1\.0 GB of a node of 'toy'; leave submit.stage out"):
        predict(large, telling, plugins)


def test_spares_are_nodes_of_the_machine_too(job: Job, machine: Machine, plugins: Plugins) -> None:
    with pytest.raises(MachineError, match="65 cannot be used"):
        predict(job, machine, plugins, spares=49)


def test_progress_is_told_from_nothing_to_all(job: Job, machine: Machine, plugins: Plugins) -> None:
    told: list[tuple[int, int]] = []
    predict_run(job, machine, NODES, plugins=plugins, runs=3, progress=lambda done, runs: told.append((done, runs)))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]
