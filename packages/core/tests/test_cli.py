"""The fujimi program: exit codes, where words go, and commands that misbehave."""

import argparse
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from fujimi_core import commands
from fujimi_core.cli import main, parser
from fujimi_core.errors import JobError, RunError
from fujimi_core.hookspecs import hookimpl
from fujimi_core.offers import Command
from fujimi_core.plugins import STRICT_VARIABLE, Plugins

Capture = pytest.CaptureFixture[str]


def nothing(_parser: argparse.ArgumentParser) -> None:
    """Add no argument."""


def program(*offered: Command) -> Plugins:
    """Core's commands and these."""

    @hookimpl
    def fujimi_commands() -> Sequence[Command]:
        return offered

    plugins = Plugins()
    plugins.register(commands, "core")
    plugins.register(SimpleNamespace(fujimi_commands=fujimi_commands), "acme")
    return plugins


def doing(
    run: Callable[[], int], *path: str, configure: Callable[[argparse.ArgumentParser], None] = nothing
) -> Command:
    return Command(path=path, summary="do it", configure=configure, run=lambda arguments, plugins: run())


def raising(wrong: BaseException) -> Callable[[], int]:
    def run() -> int:
        raise wrong

    return run


def fujimi(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FUJIMI_")}
    code = "from fujimi_core.cli import entry; entry()"
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False, env=environment | settings
    )


@pytest.mark.parametrize("code", [0, 1, 2])
def test_exit_code_is_what_the_command_returns(code: int) -> None:
    assert main(["acme"], program(doing(lambda: code, "acme"))) == code


@pytest.mark.parametrize(
    ("wrong", "code"),
    [(JobError("job.toml: no"), 2), (RunError("rank 3 fell silent"), 1), (PermissionError(13, "no", "/x"), 1)],
)
def test_error_goes_to_stderr_in_one_line_with_its_exit_code(wrong: Exception, code: int, capsys: Capture) -> None:
    assert main(["acme"], program(doing(raising(wrong), "acme"))) == code
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err == f"fujimi: error: {wrong}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["machine"], "the following arguments are required: COMMAND"),
        (["machine", "show"], "the following arguments are required: NAME"),
        (["mashine"], "invalid choice: 'mashine'"),
        (["machine", "list", "--jsn"], "unrecognized arguments: --jsn"),
        (["machine", "list", "--js"], "unrecognized arguments: --js"),  # no abbreviations
    ],
)
def test_usage_that_is_wrong_exits_with_2_and_says_why_on_stderr(
    words: list[str], message: str, capsys: Capture
) -> None:
    assert main(words, program()) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert message in written.err


def test_help_lists_every_noun_and_exits_with_0(capsys: Capture) -> None:
    offered = [doing(lambda: 0, "acme"), doing(lambda: 0, "data", "make")]
    assert main(["--help"], program(*offered)) == 0
    out = capsys.readouterr().out
    assert all(noun in out for noun in ("acme", "data", "machine", "plugins"))


def test_summary_may_hold_a_percent_sign(capsys: Capture) -> None:
    command = Command(path=("acme",), summary="100 % beads", configure=nothing, run=lambda arguments, plugins: 0)
    assert main(["--help"], program(command)) == 0
    assert "100 % beads" in capsys.readouterr().out
    assert main(["acme", "--help"], program(command)) == 0


def test_command_gets_its_arguments_and_the_plugins() -> None:
    got: list[Any] = []

    def configure(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("number", type=int)

    def run(arguments: argparse.Namespace, plugins: Plugins) -> int:
        got.extend([arguments.number, plugins])
        return 0

    plugins = program(Command(path=("acme", "spin"), summary="spin", configure=configure, run=run))
    assert main(["acme", "spin", "7"], plugins) == 0
    assert got == [7, plugins]


def test_command_that_cannot_be_configured_leaves_the_others_alone(
    capsys: Capture, caplog: pytest.LogCaptureFixture
) -> None:
    def configure(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--x", type="no type")  # type: ignore[call-overload]
        raise ValueError("no beads")

    plugins = program(doing(lambda: 0, "acme", configure=configure))
    with caplog.at_level(logging.WARNING):
        assert main(["machine", "list"], plugins) == 0
        assert "command 'acme' cannot be used: ValueError: " in caplog.text
    assert main(["acme"], plugins) == 2
    assert "fujimi: error: command 'acme' cannot be used: ValueError: " in capsys.readouterr().err


def test_noun_can_be_a_command_itself_beside_its_verbs(capsys: Capture) -> None:
    def configure(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("job")

    offered = program(
        doing(lambda: 4, "acme", configure=configure), doing(lambda: 5, "acme", "show", configure=configure)
    )
    assert main(["acme", "pretrain.toml"], offered) == 4
    assert main(["acme", "show", "pretrain.toml"], offered) == 5
    assert main(["acme", "./show"], offered) == 4
    assert main(["acme", "show", "--help"], offered) == 0
    assert "usage: fujimi acme show [-h] job" in capsys.readouterr().out
    assert main(["--help"], offered) == 0
    listed = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert "acme show" in listed
    assert any(line.startswith("acme  ") for line in listed)


def test_options_of_cores_commands_are_these() -> None:
    top = parser(program())
    nouns = top._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    verbs = nouns["machine"]._subparsers._group_actions[0].choices  # type: ignore[index]
    found = {
        name: sorted(option for action in each._actions for option in action.option_strings or [action.dest])
        for name, each in {"plugins": nouns["plugins"], **verbs}.items()  # type: ignore[index]
    }
    assert found == {
        "plugins": ["--help", "--json", "-h"],
        "list": ["--help", "--json", "-h"],
        "show": ["--help", "--json", "-h", "name"],
    }


def test_program_runs_installed_plugins_without_a_traceback(install: Callable[..., None]) -> None:
    install("broken", "raise RuntimeError('no licence')")
    path = os.pathsep.join(sys.path)
    done = fujimi("plugins", PYTHONPATH=path)
    assert done.returncode == 0
    assert "fujimi-broken 1.2 cannot be loaded: RuntimeError: no licence" in done.stdout
    assert done.stderr.startswith("WARNING: plugin 'broken': fujimi-broken 1.2 cannot be loaded")
    assert "Traceback" not in done.stderr
    strict = fujimi("plugins", PYTHONPATH=path, **{STRICT_VARIABLE: "1"})
    assert (strict.returncode, strict.stdout) == (2, "")
    assert strict.stderr.startswith("fujimi: error: plugin 'broken': fujimi-broken 1.2 cannot be loaded")
    assert "Traceback" not in strict.stderr


def test_reader_that_goes_away_is_no_error() -> None:
    code = "from fujimi_core.cli import entry; entry()"
    shell = f'"{sys.executable}" -c "{code}" machine list --json | true; exit ${{PIPESTATUS[0]}}'
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
