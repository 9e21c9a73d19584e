"""Command: fujimi simulate-run."""

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from fujimi_core import job as jobs
from fujimi_core.job_arguments import add_changes
from fujimi_core.offers import Command
from fujimi_core.plugins import Plugins
from fujimi_core.records import to_table
from fujimi_core.units import parse

from fujimi_sim.run.prediction import predict_run
from fujimi_sim.run.spec import OnFailure
from fujimi_sim.run.text import in_words


def run_commands() -> list[Command]:
    """What this module adds to the program."""
    return [
        Command(
            path=("simulate-run",),
            summary="show how long a whole run takes on a machine you do not have, failures and all",
            configure=_arguments,
            run=_simulate_run,
        )
    ]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", type=Path, help="job file (TOML)")
    parser.add_argument(
        "--machine", metavar="NAME", required=True, help="one that 'fujimi machine list' prints, or a file"
    )
    parser.add_argument("--nodes", metavar="N", required=True, type=_at_least(1), help="nodes on which ranks work")
    add_changes(parser)
    parser.add_argument(
        "--runs", metavar="K", type=_at_least(1), default=100, help="how many runs are simulated; default 100"
    )
    parser.add_argument("--seed", metavar="S", type=_at_least(0), default=0, help="seed of the first; default 0")
    parser.add_argument(
        "--spares", metavar="N", type=_at_least(0), default=0, help="nodes held for those that fail; default 0"
    )
    parser.add_argument(
        "--on-failure",
        choices=[each.value for each in OnFailure],
        metavar="restart|shrink",
        default=OnFailure.RESTART.value,
        help="without a spare, start again on the same nodes, or on fewer; default restart",
    )
    parser.add_argument(
        "--wait",
        metavar="TIME",
        type=_seconds,
        default=0.0,
        help="in the queue, when submitted again: '2 h'; default 0",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}: write a whole number that is not below {least}")
        return int(text)

    return number


def _seconds(text: str) -> float:
    try:
        seconds = parse(text, "s")
    except ValueError as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from None
    if seconds < 0:
        raise argparse.ArgumentTypeError(f"{text!r}: a time is not below 0")
    return seconds


def _simulate_run(arguments: argparse.Namespace, plugins: Plugins) -> int:
    with _bar() as progress:
        report = predict_run(
            jobs.load(arguments.job, arguments.set),
            plugins.machine(arguments.machine),
            arguments.nodes,
            plugins=plugins,
            runs=arguments.runs,
            seed=arguments.seed,
            spares=arguments.spares,
            on_failure=OnFailure(arguments.on_failure),
            wait_s=arguments.wait,
            progress=progress,
        )
    print(json.dumps(to_table(report), indent=2) if arguments.json else in_words(report))
    return 0


@contextlib.contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """Show on a terminal how many runs are done."""
    if not sys.stderr.isatty():
        yield lambda _done, _all: None
        return
    from rich.console import Console  # only where there is a terminal
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("capturing a step …", total=None)
        yield lambda done, all_: bar.update(task, completed=done, total=all_, description="runs")
