"""The command line is an interface: this file says when it changes.

After a change that is meant: python integration_tests/test_command_line.py
"""

import argparse
from pathlib import Path

from fujimi_core.cli import parser
from fujimi_core.plugins import Plugins

FROZEN = Path(__file__).with_name("command_line.txt")
OURS = "a64fx core data gpu sim train"


def described():
    """Every command of the first-party packages, with its arguments."""
    everybody = Plugins.installed(strict=True)
    others = [info.name for info in everybody.infos() if info.name not in OURS.split()]
    top = parser(Plugins.installed(strict=True, disabled=others))
    return "".join(f"{line}\n" for line in sorted(lines(top)))


def lines(parser):
    """One line for each command below a parser."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from lines(below)
            return
    yield " ".join([parser.prog, *(argument(action) for action in parser._actions if action.dest != "help")])


def argument(action):
    """An argument as in a synopsis."""
    value = "" if action.nargs == 0 else f"{action.metavar or action.dest}"
    words = " ".join(filter(None, [*action.option_strings[-1:], value]))
    return words if action.required else f"[{words}]"


def test_commands_and_options_are_those_that_were_agreed():
    assert described() == FROZEN.read_text()


if __name__ == "__main__":
    FROZEN.write_text(described())
