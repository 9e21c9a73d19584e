"""Command: fujimi submit."""

import argparse
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from fujimi_core import job as jobs
from fujimi_core.errors import RunError
from fujimi_core.offers import Command, Scheduler
from fujimi_core.plugins import Plugins
from fujimi_core.submission import submission_of
from fujimi_core.units import count_of


def submit_command() -> Command:
    """What this module adds to the program."""
    return Command(path=("submit",), summary="give a job to a batch scheduler", configure=_arguments, run=_submit)


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job", metavar="JOB", type=Path, help="job file (TOML) with a section [submit]")
    parser.add_argument("--scheduler", metavar="NAME", required=True, help="pjm, slurm or what another plugin offers")
    parser.add_argument("--dry-run", action="store_true", help="print the batch script, write and submit nothing")


def _submit(arguments: argparse.Namespace, plugins: Plugins) -> int:
    scheduler = plugins.scheduler(arguments.scheduler)
    submission = submission_of(jobs.load(arguments.job), arguments.job, plugins)
    files = {submission.directory / name: text for name, text in scheduler.files(submission).items()}
    if arguments.dry_run:
        _show(files)
    else:
        _write(files)
        print(_hand_over(scheduler, next(iter(files))))
    return 0


def _show(files: Mapping[Path, str]) -> None:
    """Print the batch script, and as comments what else there would be."""
    script = next(iter(files))
    print(files[script])
    print("# Nothing is written or submitted; without --dry-run there would be:")
    for path, text in files.items():
        print(f"# {path}: {count_of(text.count(chr(10)), 'line')}")


def _write(files: Mapping[Path, str]) -> None:
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _hand_over(scheduler: Scheduler, script: Path) -> str:
    """Give a batch script to the scheduler's own program.

    Returns:
        What that says, the job's number for example.

    Raises:
        RunError: If it is not installed, or refuses the script.
    """
    command = [*scheduler.submit, str(script)]
    if shutil.which(command[0]) is None:
        raise RunError(
            f"{command[0]!r} is not installed here; the batch script is {script}: go to a machine that has it, and to "
            f"a copy of this directory, and submit with '{shlex.join(command)}'"
        )
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunError(f"'{shlex.join(command)}' failed with exit code {done.returncode}: {done.stderr.strip()}")
    return done.stdout.strip()
