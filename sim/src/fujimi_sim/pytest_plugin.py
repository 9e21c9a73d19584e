"""pytest plugin: how a job scales, as a test."""

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

# Every pytest of the environment loads this module, so that all else is imported when it is used.
if TYPE_CHECKING:
    from fujimi_core.plugins import Plugins

    from fujimi_sim.guard import Guard, Run

_SAID = pytest.StashKey[str]()


class Simulate(Protocol):
    """What the fixture ``simulated`` gives to a test."""

    def __call__(
        self,
        job: str | os.PathLike[str],
        *,
        machine: str,
        nodes: int | Sequence[int],
        seed: int = 0,
        weak: bool = False,
    ) -> "Run":
        """Simulate a job, and compare it with the baseline if there is one.

        Args:
            job: Job file or captured workload, relative to the directory of the test file.
            machine: Name, as in ``fujimi machine list``.
            nodes: Numbers of nodes.
            seed: Of the noise.
            weak: Keep the batch of a rank as on the first number of nodes, instead of a global batch.

        Returns:
            The figures on the largest number of nodes, and in ``points`` those on each.
        """
        ...


def pytest_addoption(parser: pytest.Parser) -> None:
    """Offer the options of the guard."""
    group = parser.getgroup("fujimi", "simulated training jobs")
    group.addoption(
        "--fujimi-baseline", metavar="FILE", type=Path, help="compare what is simulated with the figures in this file"
    )
    group.addoption(
        "--fujimi-update", action="store_true", help="store the figures in the baseline instead of comparing them"
    )
    group.addoption(
        "--fujimi-tolerance",
        metavar="SHARE",
        type=_share,
        default=0.01,
        help="by which a figure may differ from the baseline, a time in shares of the step; default 0.01",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse options that do not go together.

    Raises:
        UsageError: Says which, and what to do.
    """
    update, path = config.option.fujimi_update, _baseline(config)
    if update and path is None:
        raise pytest.UsageError("--fujimi-update: say where to store the figures: --fujimi-baseline FILE")
    if update and config.getoption("numprocesses", None):
        raise pytest.UsageError("--fujimi-update: one process must see all figures; leave out -n")
    if path and not update and not path.is_file():
        raise pytest.UsageError(f"--fujimi-baseline: there is no file {path}; --fujimi-update makes it")
    if path and not path.parent.is_dir():
        raise pytest.UsageError(f"--fujimi-baseline: there is no directory {path.parent}; make it, or choose another")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Tell what was stored."""
    if said := config.stash.get(_SAID, ""):
        terminalreporter.write_line(f"fujimi: {said}")


@pytest.fixture(scope="session")
def fujimi_plugins() -> "Plugins":
    """Fujimi's plugins of this environment; a test suite may add its own with ``register``."""
    from fujimi_sim.guard import CapturesOnce

    return CapturesOnce.installed()


@pytest.fixture
def simulated(request: pytest.FixtureRequest, fujimi_plugins: "Plugins", _fujimi_guard: "Guard | None") -> Simulate:
    """Simulates a job file or a captured workload on a machine; see `Simulate`."""
    from fujimi_core.errors import FujimiError

    from fujimi_sim.files import simulate_file
    from fujimi_sim.guard import Run
    from fujimi_sim.summary import memory, too_large

    def simulate(
        job: str | os.PathLike[str],
        *,
        machine: str,
        nodes: int | Sequence[int],
        seed: int = 0,
        weak: bool = False,
    ) -> "Run":
        __tracebackhide__ = True
        numbers = [nodes] if isinstance(nodes, int) else list(nodes)
        path = request.path.parent / job
        try:
            if not path.exists():
                raise FujimiError(_missing(path, request))
            described = fujimi_plugins.machine(machine)
            report = simulate_file(path, described, numbers, plugins=fujimi_plugins, seed=seed, weak=weak)
            problem = _fujimi_guard.check(path, report, seed=seed, weak=weak) if _fujimi_guard else ""
        except FujimiError as wrong:
            raise type(wrong)(str(wrong)) from None  # from here: the test's own line is all that a reader needs
        if too_large(report):  # shown with a test that fails
            request.node.add_report_section("call", "memory", memory(report, described))
        if problem:
            pytest.fail(f"{problem}\n\nif this is meant, store it: add --fujimi-update")
        return Run.of(report)

    return simulate


@pytest.fixture(scope="session")
def _fujimi_guard(pytestconfig: pytest.Config) -> "Iterator[Guard | None]":
    path = _baseline(pytestconfig)
    if path is None:
        yield None
        return
    from fujimi_sim.guard import Guard

    option = pytestconfig.option
    guard = Guard(path, update=option.fujimi_update, tolerance=option.fujimi_tolerance)
    yield guard
    pytestconfig.stash[_SAID] = guard.save()


def _baseline(config: pytest.Config) -> Path | None:
    """Relative to where pytest was started, as all that is written on a command line."""
    path: Path | None = config.option.fujimi_baseline
    return None if path is None else config.invocation_params.dir / path


def _missing(path: Path, request: pytest.FixtureRequest) -> str:
    beside, root = request.path.parent, request.config.rootpath
    elsewhere = root / path.relative_to(beside) if path.is_relative_to(beside) else path
    hint = f"; did you mean {os.path.relpath(elsewhere, beside)!r}?" if elsewhere.exists() else ""
    return f"there is no {path}: paths are relative to the test file, {request.path}{hint}"


def _share(text: str) -> float:
    try:
        share = float(text)
    except ValueError:
        share = -1.0
    if not 0 <= share < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: write a share from 0 to below 1, for example 0.01 for 1 %")
    return share
