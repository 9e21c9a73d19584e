"""The fujimi program: gathers commands from plugins and runs one."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn, TypeAlias

from fujimi_core.errors import FujimiError, PluginError
from fujimi_core.offers import Command
from fujimi_core.plugins import Plugins

_log = logging.getLogger(__name__)
_SubParsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def entry() -> NoReturn:
    """Run the program with this process's arguments and exit."""
    try:
        code = main(sys.argv[1:])
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def main(argv: Sequence[str], plugins: Plugins | None = None) -> int:
    """Run one command.

    Returns:
        0 if it was done, 1 if it failed on the way, 2 if what was asked for is wrong.
    """
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", stream=sys.stderr)
    try:
        plugins = plugins or Plugins.installed()
        arguments = parser(plugins).parse_args(_joined(argv, plugins))
        command: Command = arguments.command
        return command.run(arguments, plugins)
    except FujimiError as wrong:
        print(f"fujimi: error: {wrong}", file=sys.stderr)
        return wrong.exit_code
    except BrokenPipeError:
        raise
    except OSError as wrong:
        print(f"fujimi: error: {wrong}", file=sys.stderr)
        return 1
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2


def parser(plugins: Plugins) -> argparse.ArgumentParser:
    """Parser of all commands that the plugins offer.

    A verb under a noun that is a command itself, as in ``plan JOB`` and ``plan show JOB``, is a command of two words.
    """
    top = argparse.ArgumentParser(
        prog="fujimi",
        description="Pre-train transformers on supercomputers, and see how the same job scales from a laptop.",
        allow_abbrev=False,
    )
    groups: dict[tuple[str, ...], _SubParsers] = {(): top.add_subparsers(metavar="COMMAND", required=True)}
    alone = _alone(plugins)
    for command in sorted(plugins.commands().values(), key=lambda command: command.path):
        group = command.path[:-1]
        if group in alone:
            _add(command, groups[()], name=command.name)
            continue
        if group not in groups:
            noun = groups[()].add_parser(group[0], help=f"{group[0]}: list, show and more", allow_abbrev=False)
            groups[group] = noun.add_subparsers(metavar="COMMAND", required=True)
        _add(command, groups[group], name=command.path[-1])
    return top


def _alone(plugins: Plugins) -> set[tuple[str, ...]]:
    """Commands of one word."""
    return {command.path for command in plugins.commands().values() if len(command.path) == 1}


def _joined(argv: Sequence[str], plugins: Plugins) -> Sequence[str]:
    """The first two words as one, if they are a verb and a noun that is a command itself."""
    path = tuple(argv[:2])
    known = {command.path for command in plugins.commands().values()}
    is_verb = len(path) == 2 and path in known and path[:1] in _alone(plugins)
    return [" ".join(path), *argv[2:]] if is_verb else argv


def _add(command: Command, group: _SubParsers, *, name: str) -> None:
    summary = command.summary.replace("%", "%%")  # argparse formats its texts
    verb = group.add_parser(name, help=summary, description=summary, allow_abbrev=False)
    try:
        command.configure(verb)
    except Exception as wrong:
        _log.warning("command %r cannot be used: %s: %s", command.name, type(wrong).__name__, wrong)
        command = _unusable(command, wrong)
    verb.set_defaults(command=command)


def _unusable(command: Command, wrong: Exception) -> Command:
    def run(_arguments: argparse.Namespace, _plugins: Plugins) -> int:
        raise PluginError(f"command {command.name!r} cannot be used: {type(wrong).__name__}: {wrong}") from wrong

    return replace(command, run=run)
