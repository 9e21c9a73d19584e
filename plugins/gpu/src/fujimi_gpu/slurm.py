"""Batch scripts for Slurm.

Source:
    SchedMD, Slurm documentation, sbatch(1), srun(1) and scontrol(1).
"""

import shlex
from collections.abc import Mapping

from fujimi_core.batch_script import RANK_SCRIPT, clock, job_name, rank_script, run_with_restarts, stage_command
from fujimi_core.errors import JobError
from fujimi_core.submission import Submission

_BATCH_SCRIPT = "job.sh"

# Where ranks meet that MPI does not bring together. Other jobs on the same node have other ports.
_MEETING = """\
MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
MASTER_PORT=$((10000 + SLURM_JOB_ID % 50000))
export MASTER_ADDR MASTER_PORT
"""

_END = """\
# Before the end of the time limit Slurm sends SIGUSR1: the job waits for another turn, and goes on from its checkpoint.
if [ "$warned" = USR1 ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {restarts} ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
"""


def files(submission: Submission) -> Mapping[str, str]:
    """Batch script, and script of each rank.

    Raises:
        JobError: If something is asked for that there is not.
    """
    spec = submission.spec
    if spec.shape:
        raise JobError(f"{submission.file}: submit.shape is {spec.shape}, but Slurm knows no shapes; leave it out")
    environment = {"OMP_NUM_THREADS": str(spec.threads_per_rank)} if spec.threads_per_rank else {}
    return {
        _BATCH_SCRIPT: batch_script(submission),
        RANK_SCRIPT: rank_script(submission, environment=environment),
    }


def batch_script(submission: Submission) -> str:
    """The script for ``sbatch``."""
    spec = submission.spec
    parts = [
        "\n".join(["#!/bin/bash", *(f"#SBATCH {option}" for option in options(submission))]) + "\n",
        f"# Starts job {submission.job.name!r}; written by 'fujimi submit'. Run it where {submission.file} is found.\n",
        _MEETING,
    ]
    if spec.stage:
        once_a_node = f"srun --nodes={spec.nodes} --ntasks={spec.nodes} --ntasks-per-node=1"
        parts.append(f"{once_a_node} {stage_command(submission)} || exit\n")
    parts += [
        run_with_restarts(_srun(submission), spec.restarts),
        _END.format(restarts=spec.restarts),
    ]
    return "\n".join(parts)


def options(submission: Submission) -> list[str]:
    """What stands behind ``#SBATCH``."""
    spec = submission.spec
    found = [
        f"--job-name={job_name(submission)}",
        f"--nodes={spec.nodes}",
        f"--ntasks-per-node={submission.ranks_per_node}",
        f"--time={clock(spec.time_limit_s)}",
        f"--signal=B:USR1@{spec.warning_s}",  # to this script alone, which passes it on
        "--requeue",
        "--open-mode=append",  # a second turn writes behind the first
        f"--output={shlex.quote(f'{submission.directory}/%j.log')}",
    ]
    given = {
        "--cpus-per-task": spec.threads_per_rank,
        "--gpus-per-node": spec.gpus_per_node,
        "--account": spec.group,
        "--partition": spec.queue,
    }
    return [*found, *(f"{option}={value}" for option, value in given.items() if value), *spec.options]


def _srun(submission: Submission) -> str:
    """Starts the ranks, nodes one after the other; none goes on without the others."""
    command = ["srun", "--distribution=block", "--kill-on-bad-exit=1"]
    if submission.spec.threads_per_rank:  # srun does not take it from the script, since 22.05
        command.append(f"--cpus-per-task={submission.spec.threads_per_rank}")
    return shlex.join([*command, "bash", str(submission.directory / RANK_SCRIPT)])
