"""Simulates the whole run of a job on a machine, many times over."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from fujimi_core.errors import JobError
from fujimi_core.facilities import Power, PowerState
from fujimi_core.job import Job
from fujimi_core.machine import Machine
from fujimi_core.plan import plan_of
from fujimi_core.plugins import Plugins

from fujimi_sim.memory import shortage
from fujimi_sim.run.case import Case, case_of, is_staged, readings_of
from fujimi_sim.run.checkpoints import Saved, daly_s, saved_of, young_s
from fujimi_sim.run.costs import Costs
from fujimi_sim.run.data import Reading, dataset_of
from fujimi_sim.run.energy import energy_of, node_hours
from fujimi_sim.run.fate import Nodes
from fujimi_sim.run.outcome import PARTS, Outcome
from fujimi_sim.run.report import BestInterval, CheckpointReport, ReadingReport, RunReport, Spread, StateReport
from fujimi_sim.run.spec import OnFailure, RunSpec, spec_of
from fujimi_sim.run.step_on import even_steps
from fujimi_sim.simulation import precision_on

#: Intervals between checkpoints that are tried.
_INTERVALS = 24
#: Stands for the power of a machine that does not tell: its device as described.
_UNTOLD = PowerState(name="", arithmetic=1.0, busy_w=1.0)


def predict_run(
    job: Job,
    machine: Machine,
    nodes: int,
    *,
    plugins: Plugins,
    runs: int = 100,
    seed: int = 0,
    spares: int = 0,
    on_failure: OnFailure = OnFailure.RESTART,
    wait_s: float = 0.0,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> RunReport:
    """Capture a step of a job, replay it, and go through its whole run many times.

    Args:
        job: What is trained, for how long, with which checkpoints, and what it asks a scheduler for.
        machine: On which.
        nodes: On how many of its nodes.
        plugins: Who captures, offers networks, places ranks and knows kernels.
        runs: How often.
        seed: Of the first run; the others count on.
        spares: Nodes that are held to take the place of those that fail.
        on_failure: What is done when no spare is left.
        wait_s: In the queue, for each submission but the first.
        progress: Told how many runs are done, of how many.

    Raises:
        JobError: If the job's plan does not fit the nodes, or its run would never end.
        MachineError: If the machine has not so many nodes, or cannot compute in the job's type.
    """
    machine.require_nodes(nodes + spares)
    job = job.with_precision(precision_on(job, machine.node.device))
    plan = plan_of(job, nodes * machine.node.devices)
    spec = spec_of(
        job,
        nodes,
        samples_per_step=plan.global_batch,
        groups=plan.extent("dp"),
        spares=spares,
        on_failure=on_failure,
        wait_s=wait_s,
    )
    workload = plugins.capture(job, nodes * machine.node.devices)
    states = machine.power.states if machine.power else (_UNTOLD,)
    steps = even_steps(workload, machine, nodes, arithmetic=[state.arithmetic for state in states], plugins=plugins)
    saved, readings = saved_of(workload, job), readings_of(job, plan, machine, nodes)
    cases = {
        state.name: case_of(spec, machine, step, saved, readings) for state, step in zip(states, steps, strict=True)
    }
    described = next(state.name for state in states if state.arithmetic == 1)
    simulated = _simulate(cases, described, seeds=range(seed, seed + runs), progress=progress)
    own, case = simulated.outcomes[described], cases[described]
    mtbf_s = machine.reliability.node_mtbf_s / nodes if machine.reliability else None
    return RunReport(
        machine=machine.name,
        job=job.name,
        nodes=nodes,
        spares=spares,
        runs=runs,
        steps=spec.steps,
        samples=spec.samples,
        even_step_s=case.costs.even_step_s,
        mtbf_s=mtbf_s,
        mtbf_source=machine.sources.get("reliability.node_mtbf_s", ""),
        time_s=Spread.of([each.total_s for each in own]),
        parts_s={name: float(np.mean([getattr(each, name) for each in own])) for name in PARTS},
        failures=Spread.of([each.failures for each in own]),
        submissions=Spread.of([each.submissions for each in own]),
        node_hours=Spread.of([node_hours(each, spec) for each in own]),
        states=_states(spec, machine.power, simulated) if machine.power else (),
        checkpoint=_checkpoint(case, saved, mtbf_s, simulated.intervals),
        reading=_reading(job, spec, readings) if readings else None,
        memory_shortage=shortage(workload.memory, machine.node.device, job, workload.mesh.world_size),
        left_out=tuple(_left_out(job, machine)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Simulated:
    """Runs of one case after the other.

    Args:
        outcomes: By power state, in order of seeds.
        intervals: Mean time of the described case by steps between checkpoints.
    """

    outcomes: dict[str, list[Outcome]]
    intervals: dict[int, float]


def _simulate(
    cases: dict[str, Case], described: str, *, seeds: range, progress: Callable[[int, int], None]
) -> _Simulated:
    """Go through a run for each seed; all cases and intervals meet the same nodes and the same chance."""
    own = cases[described]
    totals = dict.fromkeys(_intervals(own), 0.0)
    outcomes: dict[str, list[Outcome]] = {name: [] for name in cases}
    for done, seed in enumerate(seeds):
        progress(done, len(seeds))
        for name, case in cases.items():
            nodes = case.nodes(seed)
            outcomes[name].append(case.run(nodes, seed))
            if name == described:
                totals = {every: total + _time_s(case, nodes, seed, every) for every, total in totals.items()}
    progress(len(seeds), len(seeds))
    means = {every: total / len(seeds) for every, total in totals.items()}
    return _Simulated(outcomes=outcomes, intervals=means)


def _intervals(case: Case) -> list[int]:
    """Steps between checkpoints to try, each about as many times the one before.

    None is the best that is longer than the mean time between failures (Daly 2006); up to twice that is tried.
    """
    reliability = case.machine.reliability
    if reliability is None:
        return []
    between_s = reliability.node_mtbf_s / case.spec.nodes
    most = min(case.spec.steps, max(1.0, 2 * between_s / case.costs.even_step_s))
    return sorted({round(every) for every in np.geomspace(1, most, _INTERVALS)})


def _time_s(case: Case, nodes: Nodes, seed: int, every: int) -> float:
    try:
        return case.run(nodes, seed, every=every).total_s
    except JobError:  # it never ends
        return math.inf


def _states(spec: RunSpec, power: Power, simulated: _Simulated) -> tuple[StateReport, ...]:
    return tuple(_state(spec, power, state, simulated.outcomes[state.name]) for state in power.states)


def _state(spec: RunSpec, power: Power, state: PowerState, outcomes: Sequence[Outcome]) -> StateReport:
    energies = [energy_of(each, spec, power, state) for each in outcomes]
    busy_j = float(np.mean([energy.busy_j for energy in energies]))
    idle_j = float(np.mean([energy.idle_j for energy in energies]))
    return StateReport(
        name=state.name,
        is_described=state.arithmetic == 1,
        time_s=float(np.median([each.total_s for each in outcomes])),
        energy_j=busy_j + idle_j,
        busy_j=busy_j,
        idle_j=idle_j,
        step_j=(busy_j + idle_j) / spec.steps,
        sample_j=(busy_j + idle_j) / spec.samples,
    )


def _checkpoint(case: Case, saved: Saved, mtbf_s: float | None, intervals: Mapping[int, float]) -> CheckpointReport:
    costs = case.costs
    return CheckpointReport(
        nbytes=saved.nbytes,
        copy_s=costs.copy_s,
        write_s=costs.write_s,
        restore_s=costs.restore_s,
        every=case.spec.checkpoint_every,
        best=None if mtbf_s is None else _best(costs, mtbf_s, intervals),
    )


def _best(costs: Costs, mtbf_s: float, intervals: Mapping[int, float]) -> BestInterval:
    every = min(intervals, key=lambda every: intervals[every])
    return BestInterval(
        young_s=young_s(costs.copy_s, mtbf_s),
        daly_s=daly_s(costs.copy_s, mtbf_s),
        every=every,
        simulated_s=every * costs.even_step_s,
        time_s=intervals[every],
    )


def _reading(job: Job, spec: RunSpec, readings: tuple[Reading, Reading]) -> ReadingReport:
    shards, files = readings
    return ReadingReport(
        dataset_bytes=dataset_of(job, spec.samples_per_step).nbytes,
        staged=is_staged(job),
        stage_s=shards.stage_s,
        open_s=shards.open_s,
        step_s=shards.step_s,
        files_stage_s=files.stage_s,
        files_step_s=files.step_s,
    )


def _left_out(job: Job, machine: Machine) -> list[str]:
    """What nobody told, in words."""
    told = {
        "storage: reading and staging take no time, checkpoints only their copy": machine.storage,
        "startup: launching takes no time": machine.startup,
        "reliability: nothing fails": machine.reliability,
        "power: no energy": machine.power,
    }
    lines = [f"{machine.name} does not tell its {what}" for what, known in told.items() if known is None]
    if machine.noise.compute_std == 0:
        lines.append(f"{machine.name} does not tell how unequal its nodes are: all are equal")
    if job.submit is None:
        lines.append("the job has no [submit]: no time limit, and any number of restarts")
    elif is_staged(job) and machine.storage is not None and machine.storage.local is None:
        lines.append(f"{machine.name} does not tell its local storage: data are not staged")
    return lines
