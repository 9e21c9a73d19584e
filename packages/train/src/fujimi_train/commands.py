"""Commands: fujimi train and fujimi capture."""

import argparse
import contextlib
import functools
import os
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from fujimi_core import job as jobs
from fujimi_core import workload_file
from fujimi_core.errors import FujimiError, JobError
from fujimi_core.offers import Command
from fujimi_core.plugins import Plugins
from fujimi_core.units import format_quantity
from fujimi_core.workload import Collective


def commands() -> list[Command]:
    """What this package adds to the program."""
    return [
        Command(path=("train",), summary="train a job on the ranks at hand", configure=_train_arguments, run=_train),
        Command(path=("capture",), summary="write down one step of a job", configure=_capture_arguments, run=_capture),
    ]


def _train_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", type=Path, help="job file (TOML); start with mpiexec for several ranks")
    parser.add_argument(
        "--set", metavar="KEY=VALUE", action="append", default=[], help="replace a key of the job; may be repeated"
    )


def _train(arguments: argparse.Namespace, plugins: Plugins) -> int:
    from fujimi_parallel.launch import launch_of  # torch takes seconds to import

    from fujimi_train.checkpoint import directory_of
    from fujimi_train.loop import train
    from fujimi_train.watch import RunLog, Watcher

    with _all_ranks_or_none():
        job = jobs.load(arguments.job, arguments.set)
        directory = directory_of(job)
        with Watcher() as watcher, RunLog(directory) as log:
            plugins.register(watcher, "watcher")
            plugins.register(log, "run-log")
            if not train(job, plugins) and launch_of(os.environ).rank == 0:
                print(
                    f"{job.name}: all {job.train.steps} steps are done, by an earlier run, and kept in {directory}; "
                    f"to train anew, give another name or train.out",
                    file=sys.stderr,
                )
    return 0


@contextlib.contextmanager
def _all_ranks_or_none() -> Iterator[None]:
    """End all ranks when one fails: the others would wait for it."""
    from fujimi_parallel.launch import launch_of  # as above
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
    parser.add_argument("--out", metavar="WORKLOAD", type=Path, required=True, help="file to write; .gz is compressed")


def _capture(arguments: argparse.Namespace, plugins: Plugins) -> int:
    if arguments.ranks < 1:
        raise JobError(f"--ranks {arguments.ranks}: at least 1 is needed")
    start = time.perf_counter()
    workload = plugins.capture(jobs.load(arguments.job), arguments.ranks)
    workload_file.save(workload, arguments.out)
    for role in workload.roles:
        sent = sum(event.nbytes for event in role.events if isinstance(event, Collective))
        print(
            f"{role.name}: {len(role.events)} events, {format_quantity(sent, 'B')} in collectives, "
            f"peak memory {format_quantity(role.memory.peak_bytes, 'B')}"
        )
    print(f"{arguments.out}: {workload.mesh.world_size:,} ranks, captured in {time.perf_counter() - start:.1f} s")
    return 0
