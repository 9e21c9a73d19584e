"""Commands: fujimi network show and bench."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from fujimi_core.errors import FujimiError
from fujimi_core.machine import Machine
from fujimi_core.offers import Command
from fujimi_core.plugins import Plugins
from fujimi_core.records import to_table
from fujimi_core.tables import table
from fujimi_core.units import count_of, format_quantity

from fujimi_sim import network_arguments as read
from fujimi_sim.network.allocation import by
from fujimi_sim.network.bench import (
    OPERATIONS,
    SEND,
    Bench,
    Timed,
    part_of,
    require_operation,
    with_ranks_per_node,
)
from fujimi_sim.network.description import Part, Quantity, axis_name, part_description, quantities
from fujimi_sim.network.heat import heat
from fujimi_sim.progress_bar import progress_bar

ALL = "all"
BARRIER = "barrier"
_SIZE_HELP = (
    "sizes, for example 32,4KiB or 32,…,512MiB (each twice the one before): the vector of an all_reduce, reduce or"
    " broadcast; all that an all_gather ends with or a reduce_scatter begins with; what one rank of an all_to_all sends"
    " in all; the root's vector of a gather or scatter"
)


def network_commands() -> list[Command]:
    """What this package adds to the program to look at networks alone."""
    return [
        Command(
            path=("network", "show"),
            summary="show a machine's network and a job's part of it",
            configure=_show_arguments,
            run=_show,
        ),
        Command(
            path=("network", "bench"),
            summary="show what collectives take on an idle machine",
            configure=_bench_arguments,
            run=_bench,
        ),
    ]


def _show_arguments(parser: argparse.ArgumentParser) -> None:
    _machine_argument(parser)
    parser.add_argument("--nodes", metavar="N", type=read.count, help="nodes of the job; default all")
    _shape_argument(parser)
    _json_argument(parser)


def _bench_arguments(parser: argparse.ArgumentParser) -> None:
    _machine_argument(parser)
    parser.add_argument(
        "--collective", metavar="KIND", required=True, help=f"{', '.join(OPERATIONS)} (from rank 0 to rank 1, one way)"
    )
    parser.add_argument("--bytes", metavar="B[,B…]", type=read.sizes, help=_SIZE_HELP)
    parser.add_argument("--nodes", metavar="N[,N…]", type=read.counts, help="numbers of nodes, for example 64,4096")
    _shape_argument(parser)
    parser.add_argument("--algorithm", metavar="NAME", help="'all' for each that can; default what a job would take")
    parser.add_argument(
        "--ranks-per-node", metavar="K", type=read.ranks_per_node, help="default one a device; more share the device"
    )
    _json_argument(parser)
    parser.add_argument(
        "--plot", metavar="FILE", type=Path, help="draw the load of links, last nodes and most bytes: .png, .svg, .json"
    )


def _machine_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("machine", metavar="MACHINE", help="one that 'fujimi machine list' prints, or a file")


def _shape_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shape", metavar="AxBxC", type=read.shape, help="grid that the job asks for")


def _json_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


# show


def _show(arguments: argparse.Namespace, plugins: Plugins) -> int:
    machine = plugins.machine(arguments.machine)
    part = part_description(part_of(machine, nodes=arguments.nodes, shape=arguments.shape, plugins=plugins))
    print(_show_json(machine, part) if arguments.json else _show_text(machine, part))
    return 0


def _show_json(machine: Machine, part: Part) -> str:
    shown = {
        "machine": machine.name,
        "title": machine.title,
        "topology": machine.network.topology,
        "nodes": machine.nodes,
        "job": to_table(part),
        "quantities": [{"key": q.key, "value": q.value, "source": q.source} for q in quantities(machine)],
    }
    return json.dumps(shown, indent=2, ensure_ascii=False)


def _show_text(machine: Machine, part: Part) -> str:
    found = quantities(machine)
    unverified = sum(each.unverified for each in found)
    idle = f"{count_of(part.idle_nodes, 'node')} idle" if part.idle_nodes else "none idle"
    hops = count_of(part.farthest_hops, "hop")
    on_grid = {axis.name for axis in machine.network.axes}
    box = [axis_name(axis) if axis.name in on_grid else f"{axis.name} {axis.extent:,}" for axis in part.axes]
    lines = [
        f"{machine.name}: {machine.title}",
        f"topology: {machine.network.topology}, {count_of(machine.nodes, 'node')}",
        f"job: {count_of(part.nodes, 'node')} as {by(part.shape)}, {hops} from the first to the farthest",
        f"box: {'; '.join(box)}; {idle}",
        table(["quantity", "value", "source"], _rows(found)),
    ]
    if unverified:
        lines.append(f"{unverified} of {len(found)} values are unverified: no document was found for them")
    return "\n".join(lines)


def _rows(found: Sequence[Quantity]) -> list[list[str]]:
    """Quantities; a source that is that of the line above is not written out again."""
    above = ["", *(each.source for each in found)]
    return [
        [each.key, each.shown, "the same" if each.source and each.source == before else each.source]
        for each, before in zip(found, above, strict=False)
    ]


# bench


def _bench(arguments: argparse.Namespace, plugins: Plugins) -> int:
    if arguments.plot:
        from fujimi_sim.heat_plot import require_heat_drawable  # matplotlib takes a while to import

        require_heat_drawable(arguments.plot)
    machine = plugins.machine(arguments.machine)
    if arguments.ranks_per_node:
        machine = with_ranks_per_node(machine, arguments.ranks_per_node)
    sizes = _sizes(arguments)
    found: list[Timed] = []
    counts = _nodes(arguments)
    with progress_bar() as begin:
        for nodes in counts:
            part = part_of(machine, nodes=nodes, shape=arguments.shape, plugins=plugins)
            bench = Bench(machine, part, plugins=plugins)
            for nbytes in sizes:
                begin(f"{arguments.collective} on {count_of(len(part.nodes), 'node')}", len(counts) * len(sizes))
                found += _run(bench, nbytes, arguments)
    print(json.dumps([to_table(each) for each in found], indent=2) if arguments.json else _bench_text(found, machine))
    if arguments.plot:
        _plot(bench, found, arguments.plot)
    return 0


def _run(bench: Bench, nbytes: int, arguments: argparse.Namespace) -> list[Timed]:
    if arguments.algorithm == ALL:
        return bench.run_all(arguments.collective, nbytes)
    return [bench.run(arguments.collective, nbytes, algorithm=arguments.algorithm)]


def _plot(bench: Bench, found: list[Timed], path: Path) -> None:
    """Draw the largest of what was run last, with the algorithm that was named or would be chosen."""
    from fujimi_sim.heat_plot import draw_heat

    ran = [each for each in found if each.nodes == found[-1].nodes and each.chosen is not False]
    drawn = max(ran, key=lambda each: each.nbytes)
    phases = bench.phases(drawn.collective, drawn.algorithm)
    draw_heat(heat(phases, bench.part, drawn.nbytes), drawn, bench.machine, path)
    print(f"plot: {path}", file=sys.stderr)


def _nodes(arguments: argparse.Namespace) -> list[int | None]:
    """Numbers of nodes that were asked for; None for that of the shape."""
    if arguments.nodes is None and arguments.shape is None:
        raise FujimiError("give --nodes, for example --nodes 64,4096, or --shape")
    return arguments.nodes or [None]


def _sizes(arguments: argparse.Namespace) -> list[int]:
    require_operation(arguments.collective)
    if arguments.collective != BARRIER:
        if arguments.bytes is None:
            raise FujimiError(f"--collective {arguments.collective} needs --bytes, for example --bytes 32,…,512MiB")
        sizes: list[int] = arguments.bytes
        return sizes
    if arguments.bytes is not None:
        raise FujimiError("--collective barrier has no bytes: leave --bytes out")
    return [0]


_Column = tuple[str, Callable[[Timed], str]]


def _bench_text(found: list[Timed], machine: Machine) -> str:
    collective = found[0].collective
    bandwidths: list[_Column] = [
        ("bytes", lambda each: f"{each.nbytes:,}"),
        ("bytes/time", lambda each: _rate(each.algorithm_bandwidth_bytes_per_s)),
        ("bus", lambda each: _rate(each.bus_bandwidth_bytes_per_s)),
        ("at most", lambda each: _rate(each.limit_bandwidth_bytes_per_s)),
    ]
    columns: list[_Column] = [
        ("nodes", lambda each: f"{each.nodes:,}"),
        ("ranks", lambda each: f"{each.ranks:,}"),
        *(bandwidths[:1] if collective != BARRIER else []),
        ("time", lambda each: format_quantity(each.seconds, "s")),
        *(bandwidths[1:] if collective != BARRIER else []),
        ("algorithm", lambda each: each.algorithm + " *" * (each.chosen is True and any_other)),
        ("most of it", lambda each: each.bottleneck),
        ("share", lambda each: f"{each.bottleneck_share:.0%}"),
    ]
    any_other = any(each.chosen is False for each in found)
    what = "a message from rank 0 to rank 1, one way" if collective == SEND else collective
    lines = [
        f"{what} on {machine.name}: a prediction",
        table([name for name, _ in columns], [[cell(each) for _, cell in columns] for each in found]),
    ]
    return "\n".join(lines + ["* what a job takes if it does not name one"] * any_other)


def _rate(bytes_per_s: float | None) -> str:
    return "-" if bytes_per_s is None else format_quantity(bytes_per_s, "B/s")
