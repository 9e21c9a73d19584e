"""Command: fujimi simulate."""

import argparse
import contextlib
import gc
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from fujimi_core.job_arguments import add_changes
from fujimi_core.machine import Machine
from fujimi_core.offers import Command
from fujimi_core.plugins import Plugins
from fujimi_core.records import to_table
from fujimi_core.tables import table
from fujimi_core.units import count_of

from fujimi_sim import summary
from fujimi_sim.chakra.schema import message
from fujimi_sim.chakra.writing import write_traces
from fujimi_sim.files import simulate_file
from fujimi_sim.output_files import require_directory, require_writable, write
from fujimi_sim.page_file import page
from fujimi_sim.progress_bar import progress_bar
from fujimi_sim.sight import Sight
from fujimi_sim.simulation import Report
from fujimi_sim.trace_file import trace


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
    parser.add_argument(
        "job",
        metavar="JOB_OR_WORKLOAD",
        type=Path,
        help="job file (TOML), what 'capture' wrote, or a directory of Chakra traces",
    )
    parser.add_argument(
        "--machine", metavar="NAME", required=True, help="one that 'fujimi machine list' prints, or a file"
    )
    parser.add_argument(
        "--nodes", metavar="N[,N…]", required=True, type=_numbers, help="numbers of nodes, for example 1,64,4096"
    )
    add_changes(parser)
    parser.add_argument("--seed", metavar="S", type=_seed, default=0, help="seed of the noise; default 0")
    parser.add_argument(
        "--weak", action="store_true", help="keep the batch of a rank as on the first N, instead of a global batch"
    )
    parser.add_argument(
        "--breakdown", action="store_true", help="show which operators and collectives take the time; JSON always does"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw the scaling curve: .png, .svg or .json")
    parser.add_argument("--report", metavar="FILE", type=Path, help="write a page with all charts and figures: .html")
    parser.add_argument(
        "--trace", metavar="FILE", type=Path, help="write one step on the most nodes for https://ui.perfetto.dev: .json"
    )
    parser.add_argument(
        "--chakra", metavar="DIR", type=Path, help="write one step on the most nodes as Chakra traces, a file a rank"
    )


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
        _require_outputs(arguments)
        machine = plugins.machine(arguments.machine)
        sight = Sight(arguments.nodes) if arguments.report or arguments.trace or arguments.chakra else None
        with progress_bar() as begin:
            report = simulate_file(
                arguments.job,
                machine,
                arguments.nodes,
                plugins=plugins,
                changes=arguments.set,
                seed=arguments.seed,
                weak=arguments.weak,
                begin=begin,
                watch=sight,
            )
        print(
            json.dumps(to_table(report), indent=2)
            if arguments.json
            else _text(report, machine, breakdown=arguments.breakdown)
        )
        if arguments.json and summary.too_large(report):
            print(summary.memory(report, machine), file=sys.stderr)
        if arguments.plot:
            from fujimi_sim.plot import draw

            draw(report, machine, arguments.plot)
            print(f"plot: {arguments.plot}", file=sys.stderr)
        if sight:
            _write_outputs(arguments, report, machine, plugins, sight)
    return 0


def _require_outputs(arguments: argparse.Namespace) -> None:
    """Refuse what could not be written, before anything is simulated."""
    if arguments.plot:
        from fujimi_sim.plot import require_drawable  # matplotlib takes a while to import

        require_drawable(arguments.plot)
    if arguments.report:
        require_writable("--report", arguments.report, kinds=(".html",))
    if arguments.trace:
        require_writable("--trace", arguments.trace, kinds=(".json",))
    if arguments.chakra:
        require_directory("--chakra", arguments.chakra)
        message("Node")


def _write_outputs(
    arguments: argparse.Namespace, report: Report, machine: Machine, plugins: Plugins, sight: Sight
) -> None:
    """Write what shows the largest size."""
    timeline = sight.timeline(report)
    if arguments.trace:
        title = f"{report.job} on {count_of(sight.setting.nodes, 'node')} of {machine.title}"
        write(trace(timeline, title=title), arguments.trace)
        print(f"trace: {arguments.trace}", file=sys.stderr)
    if arguments.chakra:
        with progress_bar() as begin:
            ranks = sight.setting.workload.mesh.world_size
            write_traces(sight.setting, arguments.chakra, progress=lambda: begin("writing traces", ranks))
        print(f"chakra: {count_of(ranks, 'trace')} in {arguments.chakra}", file=sys.stderr)
    if arguments.report:
        with progress_bar() as begin:
            begin("routing all messages", 1)
            heat = sight.heat(plugins)
        write(page(report, machine, timeline=timeline, heat=heat), arguments.report)
        print(f"report: {arguments.report}", file=sys.stderr)


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


def _text(report: Report, machine: Machine, *, breakdown: bool) -> str:
    rows = [summary.row(point) for point in report.points]
    title = f"{report.job} on {report.machine}: a prediction"
    parts = [summary.breakdown(point) for point in report.points] if breakdown else []
    return "\n".join(
        [title, table(summary.HEADER, rows), *parts, summary.memory(report, machine), summary.cost(report)]
    )
