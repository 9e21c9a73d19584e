"""One run, ready to be gone through: what is asked for, what it takes, and on which nodes."""

from dataclasses import dataclass, replace

from fujimi_core.errors import JobError
from fujimi_core.job import Job
from fujimi_core.machine import Machine
from fujimi_core.plan import Plan

from fujimi_sim.run.checkpoints import Saved, cost_of
from fujimi_sim.run.costs import Costs
from fujimi_sim.run.data import Reading, dataset_of, reading_of
from fujimi_sim.run.fate import Fate, Nodes, draw_nodes
from fujimi_sim.run.jump import run
from fujimi_sim.run.outcome import Outcome
from fujimi_sim.run.spec import RunSpec
from fujimi_sim.run.step_on import EvenStep
from fujimi_sim.run.storage_times import launch_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All of a run that chance has no part in, in one power state.

    Args:
        spec: What is asked for.
        costs: What its parts take.
        step: A step on nodes of equal speed.
        machine: Where it runs.
    """

    spec: RunSpec
    costs: Costs
    step: EvenStep
    machine: Machine

    def nodes(self, seed: int) -> Nodes:
        """Nodes of one run."""
        compute_s = self.step.compute_s.reshape(self.spec.nodes, -1)
        return draw_nodes(compute_s, self.machine.noise, seed=seed)

    def run(self, nodes: Nodes, seed: int, *, every: int | None = None) -> Outcome:
        """One run, with checkpoints as the job has them or so many steps apart.

        Raises:
            JobError: If it would never end.
        """
        spec = self.spec if every is None else replace(self.spec, checkpoint_every=every)
        return run(spec, self.costs, Fate(nodes, self.machine.noise, self.machine.reliability, seed=seed))


def case_of(
    spec: RunSpec, machine: Machine, step: EvenStep, saved: Saved, readings: tuple[Reading, Reading] | None
) -> Case:
    """Put together what the parts of a run take.

    Args:
        spec: What is asked for.
        machine: Where it runs.
        step: A step on nodes of equal speed.
        saved: What a checkpoint holds.
        readings: As of `readings_of`.
    """
    device, startup = machine.node.device, machine.startup
    cost = cost_of(saved, machine.storage, device, nodes=spec.nodes, devices=machine.node.devices)
    shards = readings[0] if readings else Reading(stage_s=0.0, stage_one_s=0.0, open_s=0.0, step_s=0.0)
    costs = Costs(
        even_step_s=step.step_s,
        compute_s=float(step.compute_s.max()),
        read_s=shards.step_s,
        copy_s=cost.copy_s,
        write_s=cost.write_s,
        restore_s=cost.restore_s,
        stage_s=shards.stage_s,
        stage_one_s=shards.stage_one_s,
        launch_s=launch_s(startup, spec.nodes) if startup else (0.0, 0.0),
        start_s=(startup.program_s if startup else 0.0) + shards.open_s,
    )
    return Case(spec=spec, costs=costs, step=step, machine=machine)


def readings_of(job: Job, plan: Plan, machine: Machine, nodes: int) -> tuple[Reading, Reading] | None:
    """How long reading takes: from shards, as the program does, and from one file a sample.

    Args:
        job: What it reads, and whether data are staged.
        plan: Who reads.
        machine: From which storage; without one nothing is returned.
        nodes: Of the job.

    Raises:
        JobError: If the data do not fit into the storage to which the job stages them.
    """
    if machine.storage is None:
        return None
    dataset = dataset_of(job, plan.global_batch)
    local = machine.storage.local
    staged = is_staged(job)
    if staged and local is not None and dataset.nbytes > local.node_bytes:
        raise JobError(
            f"submit.stage: {dataset.nbytes / 1e9:,.1f} GB of data (not compressed) do not fit into the "
            f"{local.node_bytes / 1e9:,.1f} GB of a node of {machine.name!r}; leave submit.stage out"
        )
    shards, files = (
        reading_of(
            dataset,
            plan,
            machine.storage,
            nodes=nodes,
            devices=machine.node.devices,
            staged=staged,
            file_a_sample=file_a_sample,
        )
        for file_a_sample in (False, True)
    )
    return shards, files


def is_staged(job: Job) -> bool:
    """Whether a job has its data copied to the nodes first."""
    return job.submit is not None and bool(job.submit.stage)
