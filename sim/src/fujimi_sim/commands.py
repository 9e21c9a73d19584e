"""Command: fujimi simulate."""

import argparse
import json
import sys
from pathlib import Path

from fujimi_core import job as jobs
from fujimi_core import workload_file
from fujimi_core.errors import FujimiError, MachineError
from fujimi_core.machine import Machine
from fujimi_core.offers import Command
from fujimi_core.plugins import Plugins
from fujimi_core.records import to_table
from fujimi_core.tables import table
from fujimi_core.units import format_quantity

from fujimi_sim.simulation import Point, Report, simulate_job, simulate_workload


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
    parser.add_argument("--nodes", metavar="N[,N…]", required=True, type=_numbers, help="numbers of nodes")
    parser.add_argument("--seed", metavar="S", type=int, default=0, help="seed of the noise; default 0")
    parser.add_argument(
        "--weak", action="store_true", help="keep the batch of a rank as on the first N, instead of a global batch"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw the scaling curve: .png, .svg, .html or .json")


def _numbers(text: str) -> list[int]:
    try:
        numbers = [int(part.replace("_", "")) for part in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r}: write whole numbers with commas between, for example 1,64"
        ) from None
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: at least 1 node is needed")
    return list(dict.fromkeys(numbers))


def _simulate(arguments: argparse.Namespace, plugins: Plugins) -> int:
    if arguments.seed < 0:
        raise FujimiError(f"--seed {arguments.seed}: it must not be below 0")
    if arguments.plot:
        from fujimi_sim.plot import draw, require_known_kind  # matplotlib takes a while to import

        require_known_kind(arguments.plot)
    machine = plugins.machine(arguments.machine)
    report = _report(arguments, machine, plugins)
    print(json.dumps(to_table(report), indent=2) if arguments.json else _text(report, machine))
    if arguments.plot:
        draw(report, machine, arguments.plot)
        print(f"plot: {arguments.plot}", file=sys.stderr)
    return 0


def _report(arguments: argparse.Namespace, machine: Machine, plugins: Plugins) -> Report:
    if arguments.job.suffix == ".toml":
        job = jobs.load(arguments.job)
        return simulate_job(
            job, machine, arguments.nodes, plugins=plugins, seed=arguments.seed, weak=arguments.weak, progress=_progress
        )
    if len(arguments.nodes) != 1:
        raise MachineError(f"{arguments.job} was captured at one size; give one number of --nodes, or the job file")
    workload = workload_file.load(arguments.job)
    return simulate_workload(workload, machine, arguments.nodes[0], plugins=plugins, seed=arguments.seed)


def _progress(nodes: int) -> None:
    if sys.stderr.isatty():
        print(f"simulating {nodes:,} node(s) …", file=sys.stderr)


def _text(report: Report, machine: Machine) -> str:
    header = [
        "nodes",
        "ranks",
        "step",
        "compute",
        "exposed comm.",
        "idle",
        "samples/s",
        "FLOP/s",
        "of peak",
        "efficiency",
    ]
    rows = [_row(point) for point in report.points]
    need = max(point.memory_bytes_per_rank for point in report.points)
    have = machine.node.device.memory_bytes
    verdict = "fits in" if need <= have else "does not fit in"
    device = f"{format_quantity(have, 'B')} of {machine.node.device.name}"
    memory = f"memory: {format_quantity(need, 'B')} a rank {verdict} {device}"
    cost = f"simulated in {report.simulation.cpu_s:.1f} CPU s, {format_quantity(report.simulation.peak_rss_bytes, 'B')}"
    return "\n".join([f"{report.job} on {report.machine}", table([*header, "memory/rank"], rows), memory, cost])


def _row(point: Point) -> list[str]:
    share = [point.compute_s, point.exposed_communication_s, point.idle_s]
    return [
        f"{point.nodes:,}",
        f"{point.ranks:,}",
        format_quantity(point.step_s, "s"),
        *(f"{part / point.step_s:.1%}" for part in share),
        f"{point.samples_per_s:,.0f}",
        format_quantity(point.flops_per_s, "FLOP/s"),
        f"{point.fraction_of_peak:.1%}",
        f"{point.parallel_efficiency:.1%}",
        format_quantity(point.memory_bytes_per_rank, "B"),
    ]
