"""Command: fujimi plan."""

import argparse
import json
from pathlib import Path

from fujimi_core import job as jobs
from fujimi_core.job_arguments import add_changes
from fujimi_core.offers import Command
from fujimi_core.plugins import Plugins
from fujimi_core.records import to_table

from fujimi_sim.planner.report import Objective
from fujimi_sim.planner.search import search
from fujimi_sim.planner.text import in_words
from fujimi_sim.progress_bar import progress_bar


def plan_commands() -> list[Command]:
    """What this module adds to the program."""
    return [
        Command(
            path=("plan",),
            summary="find the plan of a job that is best on a machine you do not have",
            configure=_arguments,
            run=_plan,
        )
    ]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", type=Path, help="job file (TOML); a file named 'show' is ./show")
    parser.add_argument("--machine", metavar="NAME", required=True, help="one that 'fujimi machine list' prints")
    parser.add_argument("--nodes", metavar="N", required=True, type=_positive, help="nodes that may be used")
    add_changes(parser)
    parser.add_argument(
        "--objective",
        choices=[each.value for each in Objective],
        metavar="time|energy|node-hours",
        default=Objective.TIME.value,
        help="what is to be small for each sample; default time",
    )
    parser.add_argument("--top", metavar="K", type=_positive, default=3, help="how many plans to show; default 3")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: write a whole number that is not below 1")
    return int(text)


def _plan(arguments: argparse.Namespace, plugins: Plugins) -> int:
    machine = plugins.machine(arguments.machine)
    with progress_bar() as begin:
        report = search(
            jobs.load(arguments.job, arguments.set),
            machine,
            arguments.nodes,
            plugins=plugins,
            objective=Objective(arguments.objective),
            top=arguments.top,
            begin=begin,
        )
    print(json.dumps(to_table(report), indent=2) if arguments.json else in_words(report, machine))
    return 0
