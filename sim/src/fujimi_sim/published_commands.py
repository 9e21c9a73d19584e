"""Command: fujimi validate jobs."""

import argparse
import json
from pathlib import Path

from fujimi_core.errors import PluginError, unknown
from fujimi_core.offers import Command
from fujimi_core.plugins import Plugins
from fujimi_core.published import PublishedRun, PublishedRuns

from fujimi_sim.progress_bar import progress_bar
from fujimi_sim.published import Compared, as_table, compare, page, text
from fujimi_sim.validation_commands import write_section

_TITLE = "Validation of jobs"


def published_commands() -> list[Command]:
    """What this module adds to the program."""
    return [
        Command(
            path=("validate", "jobs"),
            summary="compare simulated steps with those of published training runs",
            configure=_arguments,
            run=_validate,
        )
    ]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tables", metavar="TABLE", nargs="*", help="tables that plugins offer; default: all")
    parser.add_argument("--captured", metavar="DIR", type=Path, help="keep captured workloads there, for the next time")
    parser.add_argument("--page", metavar="FILE", type=Path, help="write all rows into a section of it (Markdown)")
    parser.add_argument("--json", action="store_true", help="print every row as JSON instead of a table")


def _validate(arguments: argparse.Namespace, plugins: Plugins) -> int:
    offered = plugins.published_runs()
    for name in arguments.tables:
        if name not in offered:
            raise PluginError(unknown("table of published runs", name, offered))
    chosen = {offered[name]: offered[name].runs() for name in arguments.tables or offered}
    if not chosen:
        raise PluginError("no plugin offers published runs: pip install fujimi-gpu")
    compared: dict[PublishedRuns, list[Compared]] = {}
    with progress_bar() as begin:
        total = sum(len(runs) for runs in chosen.values())

        def progress(run: PublishedRun) -> None:
            begin(run.name, total)

        for table, runs in chosen.items():
            compared[table] = compare(runs, plugins=plugins, captured=arguments.captured, progress=progress)
            if arguments.page:  # after each table: all of them take half an hour
                write_section(arguments.page, _TITLE, page(compared))
    print(json.dumps(as_table(compared), indent=2) if arguments.json else text(compared))
    return 0
