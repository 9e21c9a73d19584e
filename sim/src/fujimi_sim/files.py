"""Simulates what is in a file: a job, or a workload that was captured."""

from collections.abc import Callable, Sequence
from pathlib import Path

from fujimi_core import job as jobs
from fujimi_core import workload_file
from fujimi_core.errors import MachineError
from fujimi_core.machine import Machine
from fujimi_core.plugins import Plugins
from fujimi_core.units import count_of

from fujimi_sim.simulation import Report, simulate_job, simulate_workload


def simulate_file(
    path: Path,
    machine: Machine,
    nodes: Sequence[int],
    *,
    plugins: Plugins,
    seed: int = 0,
    weak: bool = False,
    progress: Callable[[int], None] = lambda _: None,
) -> Report:
    """Simulate a job, whose file ends in ``.toml``, or a workload.

    Args:
        path: The file.
        machine: On which.
        nodes: Numbers of nodes; of a workload the one that has its ranks.
        plugins: As in `simulate_job`.
        seed: Of the noise.
        weak: As in `simulate_job`.
        progress: As in `simulate_job`.

    Raises:
        FujimiError: If the file cannot be read or does not fit what is asked of it.
    """
    if path.suffix == ".toml":
        return simulate_job(jobs.load(path), machine, nodes, plugins=plugins, seed=seed, weak=weak, progress=progress)
    workload = workload_file.load(path)
    if len(nodes) != 1 or weak:
        asked = "weak scaling" if weak else f"on {', '.join(map(str, nodes))} nodes"
        raise MachineError(
            f"{asked}: {path} is a workload, captured on {count_of(workload.mesh.world_size, 'rank')}; "
            "give one number of nodes, or the job file"
        )
    return simulate_workload(workload, machine, nodes[0], plugins=plugins, seed=seed)
