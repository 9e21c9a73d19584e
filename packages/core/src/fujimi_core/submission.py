"""Submission: a job on its way to a batch scheduler, checked."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fujimi_core.errors import JobError, MachineError, PluginError
from fujimi_core.job import Job
from fujimi_core.machine import Machine
from fujimi_core.mesh import Mesh
from fujimi_core.plan import plan_of
from fujimi_core.submit_spec import SubmitSpec

if TYPE_CHECKING:
    from fujimi_core.plugins import Plugins


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Submission:
    """What a scheduler's plugin makes a batch script of.

    Args:
        job: What to train.
        file: Its job file, as ranks will open it.
        spec: What is asked for.
        directory: Where the scripts will be, and what the ranks print.
        ranks_per_node: Ranks on each node.
        coordinates: Of each rank's node in the grid of the job, shape (ranks, axes); None to leave it to the scheduler.
    """

    job: Job
    file: Path
    spec: SubmitSpec
    directory: Path
    ranks_per_node: int
    coordinates: NDArray[np.int64] | None = None

    @property
    def ranks(self) -> int:
        """Number of all ranks."""
        return self.spec.nodes * self.ranks_per_node


def submission_of(job: Job, file: Path, plugins: "Plugins") -> Submission:
    """Check what a job asks a scheduler for, and place its ranks.

    Raises:
        JobError: If the job does not say what it needs, or its plan does not fit the ranks.
        MachineError: If the machine is unknown, has not so many nodes, or not in that shape.
        PluginError: If nothing that is installed places ranks.
    """
    spec = job.submit
    if spec is None:
        raise JobError(f'{file}: there is no section [submit]; add one: nodes = 4 and time_limit_s = "24 h" at least')
    machine = None if spec.machine is None else plugins.machine(spec.machine)
    if machine:
        machine.require_nodes(spec.nodes)
    ranks_per_node = spec.ranks_per_node or (machine.node.devices if machine else 1)
    mesh = plan_of(job, spec.nodes * ranks_per_node).mesh
    coordinates = None
    if spec.shape:
        if machine is None:
            raise JobError(f"{file}: submit.shape is {spec.shape}; name submit.machine too, by which ranks are placed")
        coordinates = place_on_grid(mesh, machine, spec.extents, ranks_per_node=ranks_per_node, plugins=plugins)
    directory = Path(job.train.out) / job.name / "submit"
    return Submission(
        job=job, file=file, spec=spec, directory=directory, ranks_per_node=ranks_per_node, coordinates=coordinates
    )


def place_on_grid(
    mesh: Mesh, machine: Machine, shape: tuple[int, ...], *, ranks_per_node: int, plugins: "Plugins"
) -> NDArray[np.int64]:
    """Coordinates of each rank's node in the grid that a job asks for, as simulations place ranks.

    Args:
        mesh: The ranks.
        machine: Where they run.
        shape: Extents of the grid.
        ranks_per_node: Ranks on each node.
        plugins: Who knows the network, and where ranks go.

    Returns:
        Shape (ranks, axes of the grid).

    Raises:
        MachineError: If the machine has no such grid.
        PluginError: If nothing that is installed knows its network.
    """
    if machine.network.topology not in plugins.topologies():
        raise PluginError(
            f"no installed plugin knows the network of {machine.name!r}, on which ranks are to be placed: "
            "pip install fujimi-sim, or leave out submit.shape"
        )
    try:
        machine = replace(machine, node=replace(machine.node, devices=ranks_per_node))
    except ValueError as wrong:
        raise MachineError(f"{ranks_per_node} ranks on a node of {machine.name!r}: {wrong}") from None
    nodes = mesh.world_size // ranks_per_node
    part = plugins.topology(machine).allocate(nodes, shape=shape)
    placement = plugins.place_ranks(mesh, machine, part, nodes)
    return coordinates_in(part.nodes, placement.nodes, part.shape)


def coordinates_in(grid: NDArray[np.int64], nodes: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Where nodes are in a grid.

    >>> coordinates_in(np.array([7, 3, 5, 4]), np.array([5, 3]), (2, 2)).tolist()
    [[1, 0], [0, 1]]

    Args:
        grid: The nodes of the grid, in C order.
        nodes: Those that are looked for.
        shape: Extents of the grid.

    Returns:
        Shape (nodes, axes).
    """
    order = np.argsort(grid)
    places = order[np.searchsorted(grid, nodes, sorter=order)]
    return np.stack(np.unravel_index(places, shape), axis=1)
