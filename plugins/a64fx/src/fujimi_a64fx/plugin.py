"""What this package offers: Fugaku, its measurements, its scheduler and the choices of its MPI library."""

from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from fujimi_core import machine_file, selection
from fujimi_core.hookspecs import hookimpl
from fujimi_core.machine import Machine
from fujimi_core.measurements import MeasurementFile
from fujimi_core.offers import Scheduler
from fujimi_core.published import PublishedRuns
from fujimi_core.selection import SelectionTable
from fujimi_core.workload import Collective

from fujimi_a64fx import pjm
from fujimi_a64fx.published_runs import published_runs
from fujimi_a64fx.reported import measurement_files

_FILES = files("fujimi_a64fx")
#: Name of the library for which this package has a table.
FUJITSU_MPI = "fujitsu_mpi"


@hookimpl
def fujimi_machines() -> Sequence[Machine]:
    """Offer Fugaku with one rank on the 48 cores of a node, and with one on each of its four core memory groups."""
    fugaku = _FILES / "machines" / "fugaku.toml"
    return [machine_file.load(fugaku), machine_file.load(_FILES / "machines" / "fugaku-4cmg.toml", base=fugaku)]


@hookimpl
def fujimi_measurements() -> Sequence[MeasurementFile]:
    """Offer measurements of collectives on Fugaku."""
    return measurement_files()


@hookimpl
def fujimi_published_runs() -> Sequence[PublishedRuns]:
    """Offer published training runs on Fugaku."""
    return published_runs()


@hookimpl
def fujimi_launchers() -> Sequence[Scheduler]:
    """Offer the scheduler of Fugaku."""
    return [Scheduler(name="pjm", summary="Fujitsu's job manager, on Fugaku", files=pjm.files, submit=("pjsub",))]


@hookimpl(trylast=True)
def fujimi_choose_collective(
    collective: Collective, members: int, machine: Machine, names: Sequence[str]
) -> str | None:
    """Choose as Fujitsu MPI does, on machines that have it."""
    return fujitsu_mpi().choose(collective, members, names) if machine.network.library == FUJITSU_MPI else None


@cache
def fujitsu_mpi() -> SelectionTable:
    """The table of Fujitsu MPI."""
    return selection.load(_FILES / "libraries" / f"{FUJITSU_MPI}.toml")
