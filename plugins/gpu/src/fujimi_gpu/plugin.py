"""What this package offers: GPU machines, ABCI and TSUBAME by generation, and the scheduler Slurm."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files

from fujimi_core import machine_file, selection
from fujimi_core.hookspecs import hookimpl
from fujimi_core.machine import Machine
from fujimi_core.offers import Scheduler
from fujimi_core.published import PublishedRuns
from fujimi_core.selection import SelectionTable
from fujimi_core.workload import Collective

from fujimi_gpu import slurm
from fujimi_gpu.published_runs import published_runs

#: Name of the library for which this package has a table.
NCCL = "nccl"

#: Files of machines; a numbered name always means the same machine.
NAMES = (
    "abci2-a",
    "abci2-v",
    "abci3",
    "tsubame3",
    "tsubame4",
    "summit",
    "frontier",
    "aurora",
    "a100-4hdr",
    "selene",
    "mosaic-a100-40g",
    "mosaic-a100-80g",
    "mosaic-h100",
)

#: What a name without a number stands for: the newest generation.
NEWEST = {"abci": "abci3", "tsubame": "tsubame4"}


@hookimpl
def fujimi_machines() -> Sequence[Machine]:
    """Offer every generation by its number, and the newest by the plain name too."""
    folder = files("fujimi_gpu") / "machines"
    machines = {name: machine_file.load(folder / f"{name}.toml") for name in NAMES}
    return [*machines.values(), *(replace(machines[name], name=plain) for plain, name in NEWEST.items())]


@hookimpl
def fujimi_published_runs() -> Sequence[PublishedRuns]:
    """Offer published training runs on A100 and H100."""
    return published_runs()


@hookimpl(trylast=True)
def fujimi_choose_collective(
    collective: Collective, members: int, machine: Machine, names: Sequence[str]
) -> str | None:
    """Choose as NCCL does, on machines that have it."""
    return nccl().choose(collective, members, names) if machine.network.library == NCCL else None


@cache
def nccl() -> SelectionTable:
    """The table of NCCL."""
    return selection.load(files("fujimi_gpu") / "libraries" / f"{NCCL}.toml")


@hookimpl
def fujimi_launchers() -> Sequence[Scheduler]:
    """Offer Slurm."""
    return [Scheduler(name="slurm", summary="Slurm Workload Manager", files=slurm.files, submit=("sbatch",))]
