"""Commands: fujimi train and fujimi capture."""

import argparse
import contextlib
import functools
import json
import os
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fujimi_core import job as jobs
from fujimi_core import workload_file
from fujimi_core.errors import FujimiError, JobError
from fujimi_core.job import Job
from fujimi_core.job_arguments import add_changes
from fujimi_core.offers import Command
from fujimi_core.plan_summary import in_words, summarise
from fujimi_core.plugins import Plugins
from fujimi_core.records import to_table
from fujimi_core.units import format_quantity
from fujimi_core.workload import Collective

from fujimi_train.calibration.commands import calibrate_command

if TYPE_CHECKING:
    from fujimi_train.loop import Trained


def commands() -> list[Command]:
    """What this package adds to the program."""
    return [
        Command(path=("train",), summary="train a job on the ranks at hand", configure=_train_arguments, run=_train),
        Command(path=("capture",), summary="write down one step of a job", configure=_capture_arguments, run=_capture),
        Command(
            path=("plan", "show"),
            summary="tell which rank holds and sends what, before anything starts",
            configure=_plan_arguments,
            run=_show_plan,
        ),
        Command(
            path=("checkpoint", "export"),
            summary="write the parameters of a checkpoint as one safetensors file",
            configure=_export_arguments,
            run=_export,
        ),
        calibrate_command(),
    ]


def _train_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", type=Path, help="job file (TOML)")
    add_changes(parser)
    parser.add_argument("--ranks", metavar="N", type=int, help="start so many ranks with mpiexec")
    parser.add_argument(
        "--restarts", metavar="K", type=int, default=0, help="if ranks fail, go on from the last checkpoint, K times"
    )
    parser.add_argument(
        "--launcher", metavar="WORDS", help="what starts the ranks instead, as in 'srun -n {ranks}'; with --ranks"
    )


def _train(arguments: argparse.Namespace, plugins: Plugins) -> int:
    if arguments.ranks is not None:
        return _supervise(arguments)
    if arguments.restarts or arguments.launcher:
        raise JobError("--restarts and --launcher belong to --ranks N, which starts the ranks")
    return _train_here(arguments, plugins)


def _supervise(arguments: argparse.Namespace) -> int:
    """Start ranks, and start them again when they fail."""
    from fujimi_train import supervisor  # torch takes seconds to import
    from fujimi_train.checkpoint import directory_of, steps_saved

    if arguments.restarts < 0:
        raise JobError(f"--restarts {arguments.restarts}: at least 0 is needed")
    supervisor.require_no_launcher(os.environ)
    directory = directory_of(jobs.load(arguments.job, arguments.set))
    changes = [word for change in arguments.set for word in ("--set", change)]
    return supervisor.supervise(
        supervisor.launcher(arguments.ranks, arguments.launcher),
        supervisor.this_program(["train", str(arguments.job), *changes]),
        restarts=arguments.restarts,
        reached=lambda: supervisor.Reached(
            saved=steps_saved(directory), step=supervisor.last_logged_step(directory / "log.jsonl")
        ),
    )


def _train_here(arguments: argparse.Namespace, plugins: Plugins) -> int:
    """Be one of the ranks, or the only one."""
    from fujimi_core.launch import launch_of  # as above

    from fujimi_train.checkpoint import directory_of
    from fujimi_train.loop import train
    from fujimi_train.watch import RunLog, Watcher

    with all_ranks_or_none():
        job = jobs.load(arguments.job, arguments.set)
        directory = directory_of(job)
        with Watcher() as watcher, RunLog(directory) as log:
            plugins.register(watcher, "watcher")
            plugins.register(log, "run-log")
            trained = train(job, plugins)
            if launch_of(os.environ).rank == 0:
                _tell_why_not_more(job, trained, directory)
    return 0


def _tell_why_not_more(job: Job, trained: "Trained", directory: Path) -> None:
    if trained.stopped_by:
        print(
            f"{job.name}: stopped by {trained.stopped_by} after step {trained.steps_done} of {job.train.steps}, which "
            f"is kept in {directory}; the same command goes on from there",
            file=sys.stderr,
        )
    elif not trained.steps:
        print(
            f"{job.name}: all {job.train.steps} steps are done, by an earlier run, and kept in {directory}; "
            f"to train anew, give another name or train.out",
            file=sys.stderr,
        )


@contextlib.contextmanager
def all_ranks_or_none() -> Iterator[None]:
    """End all ranks when one fails: the others would wait for it."""
    from fujimi_core.launch import launch_of  # as above
    from fujimi_parallel.world import stop_all

    try:
        yield
    except Exception as wrong:
        launch = launch_of(os.environ)
        if launch.world_size == 1:
            raise
        code = wrong.exit_code if isinstance(wrong, FujimiError) else 1
        stop_all(code, say=functools.partial(_say, wrong, launch.rank))
        raise SystemExit(code) from None


def _say(wrong: Exception, rank: int) -> None:
    trace = "" if isinstance(wrong, FujimiError) else "".join(traceback.format_exception(wrong))
    print(f"{trace}fujimi: error: rank {rank}: {wrong}", file=sys.stderr, flush=True)


def _capture_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", type=Path, help="job file (TOML)")
    parser.add_argument("--ranks", metavar="N", type=int, required=True, help="size of the world")
    add_changes(parser)
    parser.add_argument("--out", metavar="WORKLOAD", type=Path, required=True, help="file to write; .gz is compressed")


def _capture(arguments: argparse.Namespace, plugins: Plugins) -> int:
    if arguments.ranks < 1:
        raise JobError(f"--ranks {arguments.ranks}: at least 1 is needed")
    start = time.perf_counter()
    workload = plugins.capture(jobs.load(arguments.job, arguments.set), arguments.ranks)
    workload_file.save(workload, arguments.out)
    for role in workload.roles:
        sent = sum(event.nbytes for event in role.events if isinstance(event, Collective))
        print(
            f"{role.name}: {len(role.events)} events, {format_quantity(sent, 'B')} in collectives, "
            f"peak memory {format_quantity(role.memory.peak_bytes, 'B')}"
        )
    print(f"{arguments.out}: {workload.mesh.world_size:,} ranks, captured in {time.perf_counter() - start:.1f} s")
    return 0


def _plan_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", type=Path, help="job file (TOML)")
    parser.add_argument("--ranks", metavar="N", type=int, required=True, help="size of the world")
    add_changes(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def _show_plan(arguments: argparse.Namespace, plugins: Plugins) -> int:
    job = jobs.load(arguments.job, arguments.set)
    summary = summarise(plugins.capture(job, arguments.ranks))
    print(json.dumps(to_table(summary), indent=2) if arguments.json else in_words(summary, job))
    return 0


def _export_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", metavar="DIR", type=Path, help="of a run, whose newest checkpoint is taken, or of one")
    parser.add_argument("--out", metavar="FILE", type=Path, required=True, help="file to write: .safetensors")


def _export(arguments: argparse.Namespace, plugins: Plugins) -> int:
    from fujimi_parallel.checkpoint import Checkpoint, export  # as above

    from fujimi_train.checkpoint import newest

    path = arguments.run if (arguments.run / "manifest.json").exists() else newest(arguments.run)
    export(Checkpoint(path), arguments.out)
    print(f"{arguments.out}: parameters of {path}")
    return 0
