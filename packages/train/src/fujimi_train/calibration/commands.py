"""Command: fujimi machine calibrate."""

import argparse
import contextlib
import os
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fujimi_core.atomic import atomic_file
from fujimi_core.errors import MachineError, PluginError
from fujimi_core.machine_text import machine_toml
from fujimi_core.offers import Command
from fujimi_core.plugins import Plugins

if TYPE_CHECKING:
    from fujimi_train.calibration.measuring import Progress

#: Above which the median of all measurements says that the machine had other things to do.
_NOISY = 0.1
#: What `fujimi_train.calibration.measuring.measure` tells of.
_PARTS = 8


def calibrate_command() -> Command:
    """What this module adds to the program."""
    return Command(
        path=("machine", "calibrate"),
        summary="measure this machine, and write it down as one to simulate on",
        configure=_arguments,
        run=_calibrate,
    )


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", metavar="FILE", type=Path, help="machine file to write: .toml; without, it is printed")
    parser.add_argument(
        "--ranks", metavar="N", type=int, help="ranks that share the machine, started with mpiexec; default 1"
    )


def _calibrate(arguments: argparse.Namespace, plugins: Plugins) -> int:
    out: Path | None = arguments.out
    if out is not None:
        _require_writable(out)
    if arguments.ranks is not None and arguments.ranks != 1:
        return _start_ranks(arguments.ranks, out)
    from fujimi_train.calibration.measuring import require_processors  # torch takes seconds to import
    from fujimi_train.commands import all_ranks_or_none

    with all_ranks_or_none():
        require_processors()
        _measure(out, plugins)
    return 0


def _require_writable(out: Path) -> None:
    """Refuse a file that could not be written, before anything is measured."""
    if out.suffix != ".toml":
        raise MachineError(f"--out {out}: a machine file's name ends in .toml")
    if not out.parent.is_dir():
        raise MachineError(f"--out {out}: there is no directory {out.parent}; make it, or choose another")
    if out.is_dir() or not os.access(out if out.exists() else out.parent, os.W_OK):
        raise MachineError(f"--out {out}: no permission to write it; choose another place")


def _start_ranks(ranks: int, out: Path | None) -> int:
    from fujimi_train import supervisor  # as above

    supervisor.require_no_launcher(os.environ)
    words = ["machine", "calibrate", *([] if out is None else ["--out", str(out)])]
    never = supervisor.Reached(saved=0, step=0)
    return supervisor.supervise(
        supervisor.launcher(ranks), supervisor.this_program(words), restarts=0, reached=lambda: never
    )


def _measure(out: Path | None, plugins: Plugins) -> None:
    """Be one of the ranks, or the only one."""
    from fujimi_parallel.world import join  # as above

    from fujimi_train.calibration.description import describe
    from fujimi_train.calibration.measuring import here, measure
    from fujimi_train.calibration.timing import Stopwatch
    from fujimi_train.device import share_cores

    with join() as world:
        if world.local_size != world.size:
            raise MachineError(
                f"{world.size} ranks were started, {world.local_size} of them on this node: calibrate measures one node"
            )
        share_cores(world)
        watch = Stopwatch.of(world)
        with _progress(world.rank) as progress:
            measured = measure(world, watch, Path() if out is None else out.parent, progress=progress)
        if world.rank:
            return
        where = here("here" if out is None else out.stem, world)
        try:
            machine = describe(measured, where, plugins.kernel_seconds)
        except PluginError as wrong:
            print(f"{wrong}; until then operators are taken to be as fast in a step as alone", file=sys.stderr)
            machine = describe(measured, where, None)
        text = machine_toml(machine)
        _tell_noise(watch.spreads)
        if out is None:
            print(text, end="")
            return
        with atomic_file(out) as file:
            file.write(text.encode())
        ranks = world.size
        print(f"{out}: simulate a job of {ranks} rank(s) with --machine {out} --nodes 1", file=sys.stderr)


def _tell_noise(spreads: list[float]) -> None:
    middle, worst = statistics.median(spreads), max(spreads)
    print(f"{len(spreads)} measurements; turns differ by {middle:.1%}, at worst by {worst:.0%}", file=sys.stderr)
    if middle > _NOISY:
        print(
            "other programs are running: half of the measurements are uncertain by more than "
            f"{middle:.0%}; measure again when they are not",
            file=sys.stderr,
        )


@contextlib.contextmanager
def _progress(rank: int) -> Iterator["Progress"]:
    """A bar on the terminal of rank 0."""
    from fujimi_train.watch import has_terminal

    if rank or not has_terminal():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(file=sys.stderr, force_terminal=True), transient=True) as bar:
        task = bar.add_task("", total=_PARTS, completed=-1)
        yield lambda what: bar.update(task, description=what, advance=1)
