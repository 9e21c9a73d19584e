"""Text of batch scripts, as far as schedulers have it in common."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from fujimi_core.submission import Submission

#: What `fujimi submit` calls the script that each rank runs.
RANK_SCRIPT = "rank.sh"

_RUN = """\
# A warning goes on to all ranks as SIGUSR1: they write a checkpoint and stop. What starts the ranks passes that on, and
# would end them on SIGTERM.
warned=
run=
warn() {{
    warned=$1
    interrupted=1
    [ -z "$run" ] || kill -USR1 "$run"
}}
trap 'warn USR1' USR1
trap 'warn TERM' TERM

# A run that fails is started again from its last checkpoint; not so one that is warned, or whose job is wrong (2).
for attempt in $(seq 0 {restarts}); do
    [ "$attempt" -eq 0 ] || echo "fujimi submit: exit code $code; restart $attempt of {restarts}" >&2
    {command} &
    run=$!
    [ -z "$warned" ] || kill -USR1 "$run"
    interrupted=1
    while [ -n "$interrupted" ]; do # a warning ends wait, not the run
        interrupted=
        wait "$run"
        code=$?
    done
    run=
    if [ -n "$warned" ] || [ "$code" -eq 0 ] || [ "$code" -eq 2 ]; then
        break
    fi
done
"""


def run_with_restarts(command: str, restarts: int) -> str:
    """Lines that run a command, warn it when they are warned, and start it again when it fails.

    After them ``warned`` is the signal that came, if one did, and ``code`` the command's exit code.

    Args:
        command: Starts all ranks, and passes SIGUSR1 on to them.
        restarts: How often it is started again.
    """
    return _RUN.format(command=command, restarts=restarts)


def rank_script(submission: Submission, *, environment: Mapping[str, str], inside: Sequence[str] = ()) -> str:
    """The script that each rank runs.

    Args:
        submission: What is submitted.
        environment: Variables, unless the job sets them to something else.
        inside: A command, such as one that binds memory, in which the program is run.
    """
    spec = submission.spec
    command = [*inside, "fujimi", "train", str(submission.file)]
    run = f"exec {shlex.join(command)}"
    if spec.stage:
        run += f" --set {expanded(f'data.path={spec.stage}/{Path(submission.job.data.path).name}')}"
    lines = [
        "#!/bin/bash",
        f"# What each rank of job {submission.job.name!r} runs; written by 'fujimi submit'.",
        "set -e",
        *spec.setup,
        *(f"export {name}={expanded(value)}" for name, value in {**environment, **spec.environment}.items()),
        run,
    ]
    return "".join(f"{line}\n" for line in lines)


def stage_command(submission: Submission) -> str:
    """A command that copies the job's data to the node on which it runs."""
    target = expanded(submission.spec.stage)
    source = shlex.quote(submission.job.data.path)
    return shlex.join(["bash", "-c", f"mkdir -p {target} && cp -R {source} {target}"])


def expanded(text: str) -> str:
    """A text as one word of shell in which variables are replaced, and nothing else is.

    >>> expanded("$HOME/my data")
    '"$HOME/my data"'
    """
    return '"' + re.sub(r'([\\"`])', r"\\\1", text) + '"'


def clock(seconds: int) -> str:
    """A time as hours, minutes and seconds.

    >>> clock(594_000)
    '165:00:00'
    """
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}"


def job_name(submission: Submission) -> str:
    """The job's name, as schedulers take it: letters, digits and a few signs."""
    return re.sub(r"[^\w.-]", "_", submission.job.name)
