"""Simulates what is in a file: a job, or a workload that was captured, or that traces tell."""

from collections.abc import Sequence
from pathlib import Path

from fujimi_core import job as jobs
from fujimi_core import workload_file
from fujimi_core.errors import JobError, MachineError
from fujimi_core.machine import Machine
from fujimi_core.plugins import Plugins
from fujimi_core.units import count_of
from fujimi_core.workload import Workload

from fujimi_sim.chakra.reading import read_traces
from fujimi_sim.progress_bar import Begin
from fujimi_sim.simulation import Report, Watch, simulate_job, simulate_workload


def simulate_file(
    path: Path,
    machine: Machine,
    nodes: Sequence[int],
    *,
    plugins: Plugins,
    changes: Sequence[str] = (),
    seed: int = 0,
    weak: bool = False,
    begin: Begin = lambda *_: None,
    watch: Watch | None = None,
) -> Report:
    """Simulate a job, whose file ends in ``.toml``, or a workload, which may be a directory of Chakra traces.

    Args:
        path: The file.
        machine: On which.
        nodes: Numbers of nodes; of a workload the one that has its ranks.
        plugins: As in `simulate_job`.
        changes: Of the job, ``key=value`` each.
        seed: Of the noise.
        weak: As in `simulate_job`.
        begin: Told of each piece of work, and of how many there are.
        watch: As in `simulate_job`.

    Raises:
        FujimiError: If the file cannot be read or does not fit what is asked of it.
    """
    if path.suffix == ".toml":

        def progress(count: int, sizes: Sequence[int]) -> None:
            begin(f"simulating {count_of(count, 'node')}", len(sizes))

        job = jobs.load(path, changes)
        return simulate_job(job, machine, nodes, plugins=plugins, seed=seed, weak=weak, progress=progress, watch=watch)
    if changes:
        raise JobError(f"--set {changes[0]}: {path} is what was captured of a job; change the job, and simulate that")
    workload = _workload(path, begin)
    if len(nodes) != 1 or weak:
        asked = "weak scaling" if weak else f"on {', '.join(map(str, nodes))} nodes"
        raise MachineError(
            f"{asked}: {path} is a workload, captured on {count_of(workload.mesh.world_size, 'rank')}; "
            "give one number of nodes, or the job file"
        )
    begin(f"simulating {count_of(nodes[0], 'node')}", 1)
    return simulate_workload(workload, machine, nodes[0], plugins=plugins, seed=seed, watch=watch)


def _workload(path: Path, begin: Begin) -> Workload:
    if path.is_dir():
        return read_traces(path, progress=lambda ranks: begin("reading traces", ranks))
    return workload_file.load(path)
