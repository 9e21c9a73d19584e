"""Commands of core: fujimi plugins, fujimi machine list and show, fujimi submit."""

import argparse
import json
from collections.abc import Sequence
from typing import Any

from fujimi_core.hookspecs import hookimpl
from fujimi_core.machine import Machine
from fujimi_core.machine_file import UNVERIFIED
from fujimi_core.offers import Command
from fujimi_core.plugins import Plugins
from fujimi_core.records import to_table
from fujimi_core.submit_commands import submit_command
from fujimi_core.tables import table
from fujimi_core.units import format_quantity, unit_of


@hookimpl
def fujimi_commands() -> Sequence[Command]:
    """Offer the commands that need no other package."""
    return [
        Command(path=("plugins",), summary="list plugins, and why one is not used", configure=_json, run=_plugins),
        Command(path=("machine", "list"), summary="list machines", configure=_json, run=_machine_list),
        Command(
            path=("machine", "show"),
            summary="show a machine's numbers and sources",
            configure=_named,
            run=_machine_show,
        ),
        submit_command(),
    ]


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def _named(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="one that 'fujimi machine list' prints, or a file")
    _json(parser)


def _plugins(arguments: argparse.Namespace, plugins: Plugins) -> int:
    infos = plugins.infos()
    if arguments.json:
        print(json.dumps([to_table(info) for info in infos], indent=2))
    else:
        rows = [[i.name, i.distribution, i.problem or "ok", " ".join(i.hooks)] for i in infos]
        print(table(["plugin", "distribution", "state", "hooks"], rows))
    return 0


def _machine_list(arguments: argparse.Namespace, plugins: Plugins) -> int:
    machines = sorted(plugins.machines().values(), key=lambda machine: machine.name)
    if arguments.json:
        print(json.dumps([_summary(machine) for machine in machines], indent=2))
    else:
        rows = [[m.name, f"{m.nodes:,}", f"{m.node.devices} x {m.node.device.name}", m.title] for m in machines]
        print(table(["machine", "nodes", "devices a node", "what"], rows))
    return 0


def _summary(machine: Machine) -> dict[str, Any]:
    return {
        "name": machine.name,
        "title": machine.title,
        "nodes": machine.nodes,
        "devices_per_node": machine.node.devices,
        "device": machine.node.device.name,
        "topology": machine.network.topology,
    }


def _machine_show(arguments: argparse.Namespace, plugins: Plugins) -> int:
    machine = plugins.machine(arguments.name)
    if arguments.json:
        print(json.dumps(to_table(machine), indent=2, ensure_ascii=False))
        return 0
    print(f"{machine.name}: {machine.title}")
    rows = [[key, shown, machine.sources.get(key, "")] for key, shown in _quantities(to_table(machine), "")]
    print(table(["quantity", "value", "source"], rows))
    unverified = sum(source.startswith(UNVERIFIED) for source in machine.sources.values())
    if unverified:
        print(f"{unverified} of {len(machine.sources)} values are unverified: no document was found for them")
    return 0


def _quantities(value: Any, key: str) -> list[tuple[str, str]]:
    """Dotted key and readable value of every leaf, sources aside."""
    if isinstance(value, dict):
        return [
            leaf
            for name, item in value.items()
            if not (not key and name in ("sources", "name", "title"))
            for leaf in _quantities(item, f"{key}.{name}".lstrip("."))
        ]
    if isinstance(value, list | tuple):
        return [leaf for index, item in enumerate(value) for leaf in _quantities(item, f"{key}[{index}]")]
    if value is None:
        return []
    unit = next((unit for part in reversed(key.split(".")) if (unit := unit_of(part))), None)
    if unit and isinstance(value, int | float):
        return [(key, format_quantity(value, unit))]
    return [(key, f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value))]
