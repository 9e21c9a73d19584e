"""All hooks that a plugin can implement.

A plugin is a module (or object) named by an entry point of the group ``fujimi``. It imports `hookimpl` from here and
defines functions with these names. *Offers* are collected once and import nothing heavy. *Decisions* are asked plugin
by plugin until one answers with something else than None. *Notifications* are for everybody, and their results are
ignored.
"""

from collections.abc import Sequence

import pluggy

from fujimi_core.device import Device
from fujimi_core.job import Job
from fujimi_core.machine import Machine
from fujimi_core.measurements import MeasurementFile
from fujimi_core.mesh import Mesh
from fujimi_core.network import CollectiveAlgorithm, Topology
from fujimi_core.offers import Command, Generator, Model, Scheduler, TopologyOffer
from fujimi_core.placement import Placement
from fujimi_core.progress import CheckpointSaved, RunFinished, RunStarted, StepFinished, StepRejected
from fujimi_core.published import PublishedRuns
from fujimi_core.workload import Collective, Kernel, Workload

GROUP = "fujimi"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)

# Offers


@hookspec
def fujimi_machines() -> Sequence[Machine]:  # type: ignore[empty-body]
    """Offer machines to simulate on."""


@hookspec
def fujimi_topologies() -> Sequence[TopologyOffer]:  # type: ignore[empty-body]
    """Offer kinds of network that machine files can name."""


@hookspec
def fujimi_collectives() -> Sequence[CollectiveAlgorithm]:  # type: ignore[empty-body]
    """Offer algorithms for collectives."""


@hookspec
def fujimi_measurements() -> Sequence[MeasurementFile]:  # type: ignore[empty-body]
    """Offer measurements of machines, to which simulations are compared."""


@hookspec
def fujimi_published_runs() -> Sequence[PublishedRuns]:  # type: ignore[empty-body]
    """Offer published training runs, to which simulations are compared."""


@hookspec
def fujimi_generators() -> Sequence[Generator]:  # type: ignore[empty-body]
    """Offer families of formula-driven pictures."""


@hookspec
def fujimi_models() -> Sequence[Model]:  # type: ignore[empty-body]
    """Offer networks that jobs can name."""


@hookspec
def fujimi_launchers() -> Sequence[Scheduler]:  # type: ignore[empty-body]
    """Offer batch schedulers to which jobs can be given."""


@hookspec
def fujimi_commands() -> Sequence[Command]:  # type: ignore[empty-body]
    """Offer commands of the ``fujimi`` program."""


# Decisions


@hookspec(firstresult=True)
def fujimi_capture(job: Job, model: Model, ranks: int) -> Workload | None:
    """Run one step of a job on so many ranks without data, arithmetic or memory, and write down what each would do.

    Args:
        job: What to run.
        model: The network that the job names.
        ranks: Size of the world.
    """


@hookspec(firstresult=True)
def fujimi_place_ranks(mesh: Mesh, machine: Machine, topology: Topology, nodes: int) -> Placement | None:
    """Choose the node and device of every rank."""


@hookspec(firstresult=True)
def fujimi_choose_collective(
    collective: Collective, members: int, machine: Machine, names: Sequence[str]
) -> str | None:
    """Choose the algorithm for a collective.

    Args:
        collective: Kind, bytes and axes.
        members: Ranks in each group.
        machine: Where it runs.
        names: Algorithms for this kind of collective; the answer is one of them. Should it turn out not to serve the
            groups where they are, the hook is asked again without it.
    """


@hookspec(firstresult=True)
def fujimi_kernel_seconds(kernel: Kernel, device: Device) -> float | None:
    """Tell how long an operator takes on a device [s]."""


# Notifications


@hookspec
def fujimi_run_started(event: RunStarted) -> None:
    """Hear that a training run begins; on rank 0 only, as all notifications."""


@hookspec
def fujimi_step_finished(event: StepFinished) -> None:
    """Hear that a step is done."""


@hookspec
def fujimi_step_rejected(event: StepRejected) -> None:
    """Hear that a bad step was left out, or that the run went back behind it."""


@hookspec
def fujimi_checkpoint_saved(event: CheckpointSaved) -> None:
    """Hear that a checkpoint is on disk."""


@hookspec
def fujimi_run_finished(event: RunFinished) -> None:
    """Hear that the last step is done."""
