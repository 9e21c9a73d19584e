"""Command: fujimi simulate."""

import argparse
import contextlib
import gc
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from fujimi_core.machine import Machine
from fujimi_core.offers import Command
from fujimi_core.plugins import Plugins
from fujimi_core.records import to_table
from fujimi_core.tables import table
from fujimi_core.units import count_of

from fujimi_sim import summary
from fujimi_sim.files import simulate_file
from fujimi_sim.simulation import Report


def commands() -> list[Command]:
    """What this package adds to the program."""
    return [
        Command(
            path=("simulate",),
            summary="show how a job scales on a machine you do not have",
            configure=_arguments,
            run=_simulate,
        )
    ]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB_OR_WORKLOAD", type=Path, help="job file (TOML), or what 'capture' wrote")
    parser.add_argument("--machine", metavar="NAME", required=True, help="one that 'fujimi machine list' prints")
    parser.add_argument(
        "--nodes", metavar="N[,N…]", required=True, type=_numbers, help="numbers of nodes, for example 1,64,4096"
    )
    parser.add_argument("--seed", metavar="S", type=_seed, default=0, help="seed of the noise; default 0")
    parser.add_argument(
        "--weak", action="store_true", help="keep the batch of a rank as on the first N, instead of a global batch"
    )
    parser.add_argument(
        "--breakdown", action="store_true", help="show which operators and collectives take the time; JSON always does"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw the scaling curve: .png, .svg, .html or .json")


def _numbers(text: str) -> list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r}: write whole numbers with commas between, for example 1,64"
        ) from None
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: at least 1 node is needed; a comma begins another number")
    return list(dict.fromkeys(numbers))


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: write a whole number that is not below 0")
    return int(text)


def _simulate(arguments: argparse.Namespace, plugins: Plugins) -> int:
    with _no_garbage_collection():
        if arguments.plot:
            from fujimi_sim.plot import draw, require_drawable  # matplotlib takes a while to import

            require_drawable(arguments.plot)
        machine = plugins.machine(arguments.machine)
        report = simulate_file(
            arguments.job,
            machine,
            arguments.nodes,
            plugins=plugins,
            seed=arguments.seed,
            weak=arguments.weak,
            progress=_progress,
        )
        print(
            json.dumps(to_table(report), indent=2)
            if arguments.json
            else _text(report, machine, breakdown=arguments.breakdown)
        )
        if arguments.json and summary.too_large(report):
            print(summary.memory(report, machine), file=sys.stderr)
        if arguments.plot:
            draw(report, machine, arguments.plot)
            print(f"plot: {arguments.plot}", file=sys.stderr)
    return 0


@contextlib.contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Leave cycles alone: looking for them, most of all while torch is imported, takes a tenth of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _progress(nodes: int) -> None:
    if sys.stderr.isatty():
        print(f"simulating {count_of(nodes, 'node')} …", file=sys.stderr)


def _text(report: Report, machine: Machine, *, breakdown: bool) -> str:
    rows = [summary.row(point) for point in report.points]
    title = f"{report.job} on {report.machine}: a prediction"
    parts = [summary.breakdown(point) for point in report.points] if breakdown else []
    return "\n".join(
        [title, table(summary.HEADER, rows), *parts, summary.memory(report, machine), summary.cost(report)]
    )
