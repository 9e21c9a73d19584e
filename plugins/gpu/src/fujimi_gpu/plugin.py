"""What this package offers: ABCI and TSUBAME, by generation, and the scheduler Slurm."""

from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files

from fujimi_core import machine_file
from fujimi_core.hookspecs import hookimpl
from fujimi_core.machine import Machine
from fujimi_core.offers import Scheduler

from fujimi_gpu import slurm

#: Files of machines; a numbered name always means the same machine.
NAMES = ("abci2-a", "abci2-v", "abci3", "tsubame3", "tsubame4")

#: What a name without a number stands for: the newest generation.
NEWEST = {"abci": "abci3", "tsubame": "tsubame4"}


@hookimpl
def fujimi_machines() -> Sequence[Machine]:
    """Offer every generation by its number, and the newest by the plain name too."""
    folder = files("fujimi_gpu") / "machines"
    machines = {name: machine_file.load(folder / f"{name}.toml") for name in NAMES}
    return [*machines.values(), *(replace(machines[name], name=plain) for plain, name in NEWEST.items())]


@hookimpl
def fujimi_launchers() -> Sequence[Scheduler]:
    """Offer Slurm."""
    return [Scheduler(name="slurm", summary="Slurm Workload Manager", files=slurm.files, submit=("sbatch",))]
