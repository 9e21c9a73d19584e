"""Compares simulated steps with those of published training runs."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from fujimi_core import workload_file
from fujimi_core.errors import FujimiError
from fujimi_core.machine import Machine
from fujimi_core.plugins import Plugins
from fujimi_core.published import PublishedRun, PublishedRuns
from fujimi_core.records import to_table
from fujimi_core.tables import table
from fujimi_core.workload import Workload

from fujimi_sim.replay import Replay
from fujimi_sim.simulation import draw_slowness, replayed, setting_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A run, and what was simulated.

    Args:
        run: Measured.
        replay: Simulated.
    """

    run: PublishedRun
    replay: Replay

    @property
    def error(self) -> float:
        """Simulated over measured time, less 1."""
        return self.replay.step_s / self.run.step_s - 1


def compare(
    runs: Sequence[PublishedRun],
    *,
    plugins: Plugins,
    captured: Path | None = None,
    progress: Callable[[PublishedRun], None] = lambda _: None,
) -> list[Compared]:
    """Simulate runs.

    Args:
        runs: Which.
        plugins: Who captures, and offers machines.
        captured: Directory in which captured workloads are kept, and looked for.
        progress: Told of each run before it is simulated.

    Raises:
        FujimiError: If a run cannot be simulated; names it.
    """
    found = []
    for run in runs:
        progress(run)
        try:
            machine = machine_of(run, plugins)
            workload = _workload(run, run.nodes * machine.node.devices, plugins, captured)
            setting = setting_of(workload, machine, run.nodes, plugins=plugins)
            slowness = draw_slowness(workload.mesh.world_size, std=machine.noise.compute_std, seed=0)
            found.append(Compared(run=run, replay=replayed(setting, slowness=slowness)))
        except FujimiError as wrong:
            raise type(wrong)(f"{run.name}: {wrong}") from wrong
    return found


def machine_of(run: PublishedRun, plugins: Plugins) -> Machine:
    """The machine of a run, with as many devices a node as took part."""
    machine = plugins.machine(run.machine)
    if run.devices is None:
        return machine
    return replace(machine, node=replace(machine.node, devices=run.devices))


def mean_absolute_error(compared: Sequence[Compared]) -> float:
    """Mean of the absolute errors of what nothing was fitted to; nan if there is none."""
    errors = [abs(each.error) for each in compared if not each.run.fitted]
    return float(np.mean(errors)) if errors else float("nan")


def summary(compared: dict[PublishedRuns, list[Compared]]) -> list[list[str]]:
    """Cells of a table of errors, a row for each table of runs."""
    rows = []
    for runs, found in compared.items():
        errors = np.array([each.error for each in found if not each.run.fitted])
        fitted = sum(each.run.fitted for each in found)
        if not len(errors):
            continue
        mean = mean_absolute_error(found)
        reached = "met" if mean <= runs.goal else "missed"
        shown = [f"{mean:.1%}", f"{float(np.median(np.abs(errors))):.1%}", f"{float(errors.mean()):+.1%}"]
        rows.append([runs.name, str(len(errors)), str(fitted), *shown, f"{runs.goal:.0%}", reached])
    return rows


SUMMARY_HEADER = ("table", "rows", "fitted", "MAPE", "median", "bias", "goal", "")
ROW_HEADER = ("run", "GPUs or nodes", "measured", "simulated", "error", "exposed", "idle", "")


def page(compared: dict[PublishedRuns, list[Compared]]) -> str:
    """Markdown of all errors."""
    parts = [
        "Made by `fujimi validate jobs --page docs/validation.md`; do not edit.",
        "Each row is a job, captured and simulated as any other. Error: simulated over measured time of a step, less 1;"
        " MAPE: mean of absolute errors of rows that nothing was fitted to.",
        _markdown(SUMMARY_HEADER, summary(compared)),
    ]
    for runs, found in compared.items():
        parts += [f"## {runs.name}", f"Measured: {runs.source}.", _markdown(ROW_HEADER, [_row(each) for each in found])]
    return "\n\n".join(parts) + "\n"


def text(compared: dict[PublishedRuns, list[Compared]]) -> str:
    """The table of errors for a terminal."""
    return table(SUMMARY_HEADER, summary(compared))


def as_table(compared: dict[PublishedRuns, list[Compared]]) -> list[dict[str, object]]:
    """Every row as plain values."""
    return [
        {
            "table": runs.name,
            "run": each.run.name,
            "machine": each.run.machine,
            "nodes": each.run.nodes,
            "fitted": each.run.fitted,
            "measured_s": each.run.step_s,
            "simulated_s": each.replay.step_s,
            "error": each.error,
        }
        for runs, found in compared.items()
        for each in found
    ]


def with_section(whole: str, title: str, section: str) -> str:
    r"""A page in which one section stands for what was there under its title, or at the end.

    >>> with_section("# A\n\nold\n\n# B\n\nb\n", "A", "new\n")
    '# A\n\nnew\n\n# B\n\nb\n'
    """
    pieces: list[tuple[str, str]] = []
    for line in whole.splitlines(keepends=True):
        if line.startswith("# "):
            pieces.append((line[2:].strip(), ""))
        elif pieces:
            pieces[-1] = (pieces[-1][0], pieces[-1][1] + line)
    known = dict(pieces) | {title: section}
    return "\n".join(f"# {name}\n\n{body.strip()}\n" for name, body in known.items())


def _workload(run: PublishedRun, ranks: int, plugins: Plugins, captured: Path | None) -> Workload:
    if captured is None:
        return plugins.capture(run.job, ranks)
    key = hashlib.sha256(str(to_table(run.job)).encode()).hexdigest()[:16]
    path = captured / f"{key}-{ranks}.jsonl.gz"
    if not path.exists():
        workload_file.save(plugins.capture(run.job, ranks), path)
    return workload_file.load(path)


def _row(each: Compared) -> list[str]:
    run, replay = each.run, each.replay
    devices = run.nodes * (run.devices or 1)
    shares = [f"{float(share.mean()) / replay.step_s:.0%}" for share in (replay.exposed_s, replay.idle_s)]
    times = [f"{seconds:.4g} s" for seconds in (run.step_s, replay.step_s)]
    return [run.name, str(devices), *times, f"{each.error:+.1%}", *shares, "fitted" if run.fitted else ""]


def _markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
