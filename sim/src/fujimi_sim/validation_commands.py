"""Commands: fujimi network fit, fujimi validate network."""

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from fujimi_core.errors import MachineError
from fujimi_core.measurements import Measurement, MeasurementFile, read_rows
from fujimi_core.offers import Command
from fujimi_core.plugins import Plugins

from fujimi_sim.network import flows, report
from fujimi_sim.network.comparison import Compared, compare
from fujimi_sim.network.fitting import Fitted, fit
from fujimi_sim.network.fitting_text import fitted_toml
from fujimi_sim.network.own_format import OWN_FORMAT
from fujimi_sim.progress_bar import progress_bar, tracked
from fujimi_sim.published import with_section

_FILES_HELP = (
    "measurements: a CSV file with the columns of one that a plugin offers, or"
    f" {', '.join(OWN_FORMAT.columns)}; default: those that plugins offer"
)
_TITLE = "Validation of the network"
PAGE = """Made by `fujimi validate network --page docs/validation.md`; do not edit.

## Collectives, against measurements

{collectives}
## Flows on tori, against SimGrid

All nodes send at once. SimGrid 3.32, flow level (CM02, no crosstraffic, SPLITDUPLEX). Goal: within 10 %.

{flows}
"""


def validation_commands() -> list[Command]:
    """What this module adds to the program."""
    return [
        Command(
            path=("network", "fit"),
            summary="fit what messages cost on a machine to measurements of collectives",
            configure=_fit_arguments,
            run=_fit,
        ),
        Command(
            path=("validate", "network"),
            summary="compare simulated collectives with measured ones",
            configure=_validate_arguments,
            run=_validate,
        ),
    ]


def _fit_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("machine", metavar="MACHINE", help="one that 'fujimi machine list' prints, or a file")
    parser.add_argument("files", metavar="MEASUREMENTS", type=Path, nargs="*", help=_FILES_HELP)
    parser.add_argument("--json", action="store_true", help="print JSON instead of TOML")


def _validate_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="MEASUREMENTS", type=Path, nargs="*", help=_FILES_HELP)
    parser.add_argument("--machine", metavar="NAME", default="fugaku", help="where they were measured; default fugaku")
    parser.add_argument("--page", metavar="FILE", type=Path, help="write all tables there (Markdown)")
    parser.add_argument("--rows", metavar="FILE", type=Path, help="write every row there (CSV)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _fit(arguments: argparse.Namespace, plugins: Plugins) -> int:
    machine = plugins.machine(arguments.machine)
    measured = _measurements(arguments, machine.name, plugins)
    # Of published files only the rows that are meant for it; of the user's own all.
    rows = measured if arguments.files else [each for each in measured if each.fitted]
    compared, left_out = compare(tracked(rows, "routing"), machine, plugins=plugins)
    print(f"fitting to {len(compared)} rows; {len(left_out)} are not modelled", file=sys.stderr)
    with progress_bar() as begin:
        begin("fitting", 1)
        found = fit(compared, machine)
    print(json.dumps(_fit_table(found), indent=2) if arguments.json else fitted_toml(found))
    return 0


def _fit_table(found: Fitted) -> dict[str, object]:
    values = [
        {"transport": name, "regime": index, "field": field, "before": found.before[name, index, field], "after": value}
        for (name, index, field), value in found.after.items()
    ]
    return {"values": values, "errors": asdict(report.Errors.of(found.rows))}


def _validate(arguments: argparse.Namespace, plugins: Plugins) -> int:
    machine = plugins.machine(arguments.machine)
    measured = _measurements(arguments, machine.name, plugins)
    compared, left_out = compare(tracked(measured, "comparing"), machine, plugins=plugins)
    if not compared:
        raise MachineError(f"none of {len(left_out)} measurements is of an algorithm that is modelled")
    if arguments.rows:
        _write_rows(compared, arguments.rows)
    if arguments.page:
        sources = [str(path) for path in arguments.files] or [
            each.source for each in plugins.measurements().values() if each.machine == machine.name
        ]
        text = PAGE.format(collectives=report.page(compared, left_out, sources=sources), flows=flows.table())
        write_section(arguments.page, _TITLE, text)
    summary = report.summary(compared)
    if arguments.json:
        print(json.dumps({name: asdict(errors) for name, errors in summary.items()}, indent=2))
    else:
        print(report.text(summary, left_out=len(left_out)))
    return 0


def _measurements(arguments: argparse.Namespace, machine: str, plugins: Plugins) -> list[Measurement]:
    offered: Sequence[MeasurementFile] = list(plugins.measurements().values())
    if arguments.files:
        return [row for path in arguments.files for row in read_rows(path, [*offered, OWN_FORMAT])]
    found = [row for each in offered if each.machine == machine for row in each.rows()]
    if not found:
        raise MachineError(f"no plugin offers measurements of {machine!r}: name a file of your own")
    return found


def _write_rows(compared: Sequence[Compared], path: Path) -> None:
    header = ["collective", "nodes", "ranks_per_node", "bytes", "reported", "algorithm", "named", "fitted"]
    header += ["measured_s", "simulated_s", "error"]
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(header)
            for each in compared:
                row = each.measured
                shown = [row.collective, row.nodes, row.ranks_per_node, row.nbytes, row.reported, each.algorithm]
                writer.writerow([*shown, each.named, row.fitted, row.seconds, each.seconds, each.error])
    except OSError as wrong:
        raise MachineError(f"cannot write {path}: {wrong}") from None


def write_section(path: Path, title: str, text: str) -> None:
    """Write one section of a page, whose others stay as they are.

    Raises:
        MachineError: If that cannot be done.
    """
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        path.write_text(with_section(before, title, text), encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise MachineError(f"cannot write {path}: {wrong}") from None
