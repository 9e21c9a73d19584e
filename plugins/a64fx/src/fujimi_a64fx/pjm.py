"""Batch scripts for PJM, the job manager of Fugaku.

Source:
    [guide] RIKEN R-CCS, Fugaku user guide, Use and job execution, 1.50: options of ``pjsub``, rank assignment.
    [llm] Fugaku-LLM/DeepSpeedFugaku, scripts/13b/13b_pp8_tp6_dp288_outer.sh and _inner.sh, 2024-01: what the job of
    13,824 nodes asked for and ran with.
"""

import shlex
from collections.abc import Mapping

import numpy as np
from fujimi_core.batch_script import RANK_SCRIPT, clock, job_name, rank_script, run_with_restarts, stage_command
from fujimi_core.errors import JobError
from fujimi_core.submission import Submission
from numpy.typing import NDArray

#: Cores of an A64FX that programs may use.
CORES = 48
_BATCH_SCRIPT = "job.sh"
_RANK_MAP = "ranks.txt"
# With one rank a node: its memory may lie in all four core memory groups, NUMA nodes 4 to 7 [llm].
_WHOLE_NODE = ("numactl", "-N", "4-7", "-m", "4-7")

# The guide names no signal before the end of the time limit: the script counts by itself.
_WARN_IN_TIME = """\
(
    trap 'kill "$pause"; exit' TERM
    sleep {seconds} &
    pause=$!
    wait "$pause" && kill -USR1 $$
) &
clock=$!
"""

_END = """\
kill "$clock" 2>/dev/null
[ -z "$warned" ] || echo "fujimi submit: stopped by a warning; submit {script} again to go on" >&2
exit "$code"
"""


def files(submission: Submission) -> Mapping[str, str]:
    """Batch script, script of each rank, and rank map if the job has a shape.

    Raises:
        JobError: If something is asked for that there is not.
    """
    spec = submission.spec
    if spec.gpus_per_node:
        raise JobError(f"{submission.file}: submit.gpus_per_node is {spec.gpus_per_node}, but nodes have no GPUs")
    if submission.ranks_per_node > CORES:
        raise JobError(
            f"{submission.file}: {submission.ranks_per_node} ranks a node, but a node has {CORES} cores; lower "
            "submit.ranks_per_node"
        )
    environment = {
        "OMP_NUM_THREADS": str(spec.threads_per_rank or CORES // submission.ranks_per_node),
        # Large pages get their place at first touch: in the core memory group of the thread that touches them.
        "XOS_MMM_L_PAGING_POLICY": "demand:demand:demand",
    }
    inside = _WHOLE_NODE if submission.ranks_per_node == 1 else ()
    texts = {
        _BATCH_SCRIPT: batch_script(submission),
        RANK_SCRIPT: rank_script(submission, environment=environment, inside=inside),
    }
    if submission.coordinates is not None:
        texts[_RANK_MAP] = rank_map(submission.coordinates)
    return texts


def rank_map(coordinates: NDArray[np.int64]) -> str:
    """A file for ``--vcoordfile``: a line for each rank, with the place of its node in the grid of the job.

    >>> print(rank_map(np.array([[0, 0, 0], [0, 5, 47]])), end="")
    (0,0,0)
    (0,5,47)

    Args:
        coordinates: Of each rank's node, shape (ranks, axes).
    """
    return "".join(f"({','.join(map(str, place))})\n" for place in coordinates.tolist())


def batch_script(submission: Submission) -> str:
    """The script for ``pjsub``."""
    spec, directory = submission.spec, submission.directory
    parts = [
        "\n".join(["#!/bin/bash", *(f"#PJM {option}" for option in options(submission))]) + "\n",
        f"# Starts job {submission.job.name!r}; written by 'fujimi submit'. Run it where {submission.file} is found.\n",
        # All nodes read these at once: LLIO gets them once from the second layer [llm].
        f"llio_transfer {shlex.quote(str(submission.file))} {shlex.quote(str(directory / RANK_SCRIPT))}\n"
        "export PLE_MPI_STD_EMPTYFILE=off\n",
    ]
    if spec.stage:
        parts.append(_staging(submission))
    parts += [
        _WARN_IN_TIME.format(seconds=spec.time_limit_s - spec.warning_s),
        run_with_restarts(_mpiexec(submission), spec.restarts),
        _END.format(script=shlex.quote(str(directory / _BATCH_SCRIPT))),
    ]
    return "\n".join(parts)


def options(submission: Submission) -> list[str]:
    """What stands behind ``#PJM``."""
    spec = submission.spec
    grid = spec.shape.partition(":")[0] or str(spec.nodes)
    # Ranks are placed for a torus, and jobs of more than 384 nodes get no other [guide].
    allocation = spec.allocation or ("torus" if spec.shape else "")
    found = [
        f"-N {job_name(submission)}",
        f'-L "node={":".join(filter(None, [grid, allocation]))}"',
        f'-L "elapse={clock(spec.time_limit_s)}"',
        # The machine is described at 2.2 GHz with both floating-point pipelines [llm].
        '-L "freq=2200,eco_state=0"',
        f'--mpi "proc={submission.ranks},max-proc-per-node={submission.ranks_per_node}"',
        f'-o "{submission.directory}/%j.log"',
        "-j",
        "-S",
    ]
    if spec.queue:
        found.insert(1, f'-L "rscgrp={spec.queue}"')
    if spec.group:
        found.append(f"-g {spec.group}")
    return [*found, *spec.options]


def _mpiexec(submission: Submission) -> str:
    """Starts the ranks; what they print is in a file for each that prints, in a directory for each 1,000 [llm]."""
    directory = submission.directory
    words = [f"mpiexec -n {submission.ranks}"]
    if submission.coordinates is not None:
        words.append(f"--vcoordfile {shlex.quote(str(directory / _RANK_MAP))}")
    words.append("-x PATH")
    words.append(f"-std-proc {shlex.quote(str(directory))}/$PJM_JOBID/%/1000r/rank")
    words.append(f"bash {shlex.quote(str(directory / RANK_SCRIPT))}")
    return " \\\n        ".join(words)


def _staging(submission: Submission) -> str:
    """Copies the data once on each node: by its first rank."""
    first_of_node = 'if [ "$PLE_RANK_ON_NODE" -eq 0 ]; then exec "$@"; fi'
    start = shlex.join(["mpiexec", "-n", str(submission.ranks), "bash", "-c", first_of_node, "stage"])
    return f"{start} {stage_command(submission)} || exit\n"
