"""Shows a run to the person in front of it, and logs it for those who come later."""

import contextlib
import json
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from fujimi_core.hookspecs import hookimpl
from fujimi_core.job import to_toml
from fujimi_core.progress import CheckpointSaved, RunFinished, RunStarted, StepFinished, StepRejected
from fujimi_core.records import to_table
from fujimi_core.units import format_quantity

_LINES_A_RUN = 20


class Watcher:
    """A progress bar on a terminal, a line now and then elsewhere; both on stderr.

    To be left, so that a bar is taken down however the run ends.
    """

    def __init__(self) -> None:
        self._show: Callable[[StepFinished], None] = lambda _: None
        self._close: Callable[[], None] = lambda: None

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()

    @hookimpl
    def fujimi_run_started(self, event: RunStarted) -> None:
        """Say what begins."""
        steps = event.job.train.steps
        again = f", going on after step {event.first_step}" if event.first_step else ""
        peak = format_quantity(event.peak_flops_per_s, "FLOP/s")
        print(
            f"{event.job.name}: {steps} steps on {event.ranks} rank(s){again}; each {event.device}, "
            f"{event.job.parallel.precision}, measured peak {peak}",
            file=sys.stderr,
        )
        if has_terminal():
            self._bar(steps, event.first_step)
        else:
            every = math.ceil(steps / _LINES_A_RUN)
            self._show = lambda step: _line(step, steps) if step.step % every == 0 or step.step == steps else None

    @hookimpl
    def fujimi_step_finished(self, event: StepFinished) -> None:
        """Show a step."""
        self._show(event)

    @hookimpl
    def fujimi_step_rejected(self, event: StepRejected) -> None:
        """Say what was wrong."""
        print(event.reason, file=sys.stderr)

    @hookimpl
    def fujimi_run_finished(self, event: RunFinished) -> None:
        """Say that it is over."""
        self._close()
        print(f"done: {event.steps} steps, {event.seconds:.1f} s, loss {event.final_loss:.4f}", file=sys.stderr)

    def _bar(self, steps: int, first: int) -> None:
        from rich.console import Console  # only where there is a terminal
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[numbers]}"), TimeRemainingColumn())
        bar = Progress(*columns, console=Console(file=sys.stderr, force_terminal=True))
        bar.start()
        task = bar.add_task("train", total=steps, completed=first, numbers="")
        self._show = lambda step: bar.update(task, completed=step.step, numbers=_numbers(step))
        self._close = bar.stop


class RunLog:
    """Writes ``job.toml`` and a line of ``log.jsonl`` for every step and checkpoint into a directory.

    Steps that an earlier run did after its last checkpoint are done again, and their lines are replaced. To be left,
    so that the file is closed however the run ends.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file: IO[str] | None = None

    def __enter__(self) -> "RunLog":
        return self

    def __exit__(self, *exception: object) -> None:
        self._close()

    @hookimpl
    def fujimi_run_started(self, event: RunStarted) -> None:
        """Write the job down."""
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / "job.toml").write_text(to_toml(event.job), encoding="utf-8")
        path = self._directory / "log.jsonl"
        kept = _lines_until(path, event.first_step)
        partial = path.with_suffix(".partial")
        partial.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        partial.replace(path)
        self._file = path.open("a", encoding="utf-8")

    @hookimpl
    def fujimi_step_finished(self, event: StepFinished) -> None:
        """Write a step down."""
        self._write(to_table(event))

    @hookimpl
    def fujimi_step_rejected(self, event: StepRejected) -> None:
        """Write a bad step down."""
        self._write({"step": event.step, "rejected": event.reason})

    @hookimpl
    def fujimi_checkpoint_saved(self, event: CheckpointSaved) -> None:
        """Write a checkpoint down."""
        self._write({"step": event.step, "checkpoint": str(event.path)})

    @hookimpl
    def fujimi_run_finished(self, event: RunFinished) -> None:
        """Close the log."""
        self._close()

    def _close(self) -> None:
        if self._file:
            self._file.close()

    def _write(self, entry: dict[str, Any]) -> None:
        if self._file:
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()


def _lines_until(path: Path, step: int) -> list[str]:
    """Lines of a log about the steps that a checkpoint holds; not one that was cut short."""
    if not step or not path.exists():
        return []
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError):
            if json.loads(line)["step"] <= step:
                kept.append(line)
    return kept


def has_terminal() -> bool:
    """Whether somebody looks on; whoever started mpiexec says so, as between it and a rank is a pipe."""
    return sys.stderr.isatty() or os.environ.get("TTY_INTERACTIVE") == "1"


def _line(step: StepFinished, steps: int) -> None:
    print(f"step {step.step}/{steps}  {_numbers(step)}", file=sys.stderr)


def _numbers(step: StepFinished) -> str:
    return (
        f"loss {step.loss:.4f}  {step.step_s:.3f} s  {step.samples_per_s:,.0f} samples/s  "
        f"{step.fraction_of_peak:.1%} of peak"
    )
