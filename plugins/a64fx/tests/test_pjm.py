"""Scripts for PJM: Fugaku-LLM's job as it was, and what they do where PJM's programs are replaced.

After a change that is meant: python plugins/a64fx/tests/test_pjm.py
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fujimi_a64fx import pjm, plugin
from fujimi_core import job as jobs
from fujimi_core.errors import JobError
from fujimi_core.plugins import Plugins
from fujimi_core.submission import Submission, submission_of

GOLDEN = Path(__file__).parent / "fugaku_llm_13b"
FUGAKU_LLM = Path("examples/fugaku_llm_13b.toml")
#: Programs of Fugaku: each writes down its arguments; mpiexec runs what follows its own, as rank 0 of its node.
PROGRAMS = {
    "llio_transfer": 'echo "llio_transfer $*" >> calls',
    "numactl": 'shift 4; exec "$@"',
    "fujimi": """\
echo "$* threads=$OMP_NUM_THREADS paging=$XOS_MMM_L_PAGING_POLICY" >> calls
trap 'echo warned >> calls; exit 0' USR1
code=$(head -n 1 codes)
sed -i 1d codes
[ -z "$code" ] || exit "$code"
echo waiting >> calls
while :; do sleep 0.02; done""",
    "mpiexec": """\
echo "mpiexec $*" >> calls
while [ "$1" != bash ]; do shift; done
PLE_RANK_ON_NODE=0 exec "$@\"""",
}


def fugaku_llm() -> Submission:
    """Submission of the example, its ranks placed along the grid: which placement is best, the simulator knows."""
    job = jobs.load(Path(__file__).parents[3] / FUGAKU_LLM)
    assert job.submit
    coordinates = np.stack(np.unravel_index(np.arange(13_824), job.submit.extents), axis=1)
    placed = submission_of(replace(job, submit=replace(job.submit, shape="")), FUGAKU_LLM, with_fugaku())
    return replace(placed, job=job, spec=job.submit, coordinates=coordinates)


def with_fugaku() -> Plugins:
    plugins = Plugins(strict=True)
    plugins.register(plugin, "a64fx")
    return plugins


def scripts(files: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in files.items() if name.endswith(".sh")}


def submission(**asked: Any) -> Submission:
    table = {
        "name": "small run",
        "model": {"name": "vit_tiny"},
        "data": {"family": "visualatom", "classes": 8, "instances": 8, "path": "data"},
        "train": {"steps": 8, "batch_per_rank": 1},
        "submit": {"machine": "fugaku", "nodes": 12, "time_limit_s": 3_600} | asked,
    }
    return submission_of(jobs.from_table(table), Path("job.toml"), with_fugaku())


def test_scripts_of_fugaku_llm_are_those_that_were_agreed() -> None:
    for name, text in scripts(pjm.files(fugaku_llm())).items():
        assert text == (GOLDEN / name).read_text(encoding="utf-8")


def test_fugaku_llm_asks_for_what_its_own_scripts_asked_for() -> None:
    # Fugaku-LLM/DeepSpeedFugaku, scripts/13b/13b_pp8_tp6_dp288_outer.sh
    options = pjm.options(fugaku_llm())
    for option in (
        '-L "node=48x6x48:torus:strict-io"',
        '-L "elapse=165:00:00"',
        "-x PJM_LLIO_GFSCACHE=/vol0003:/vol0004:/vol0005:/vol0006",
        "--llio localtmp-size=50Gi",
        "--llio sio-read-cache=off",
        "-j",
        "-S",
    ):
        assert option in options
    text = "".join(scripts(pjm.files(fugaku_llm())).values())
    for part in (
        "-n 13824 ",
        "--vcoordfile ",
        "numactl -N 4-7 -m 4-7 ",
        'OMP_NUM_THREADS="48"',
        "-std-proc ",
        "-x PATH ",
    ):
        assert part in text


def test_rank_map_has_a_line_for_each_rank() -> None:
    lines = pjm.files(fugaku_llm())["ranks.txt"].splitlines()
    assert len(lines) == len(set(lines)) == 13_824
    assert lines[0] == "(0,0,0)"
    assert lines[-1] == "(47,5,47)"


@pytest.mark.parametrize("asked", [{}, {"shape": ""}, {"stage": "$PJM_LOCALTMP/it's here"}, {"restarts": 0}])
def test_shell_understands_the_scripts(asked: dict[str, Any]) -> None:
    for text in scripts(pjm.files(submission(**asked))).values():
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_job_without_shape_leaves_nodes_and_ranks_to_the_scheduler() -> None:
    files = pjm.files(submission())
    assert "ranks.txt" not in files
    assert "vcoordfile" not in files["job.sh"]
    assert '#PJM -L "node=12"' in files["job.sh"]


def test_ranks_placed_on_a_grid_get_a_torus_unless_the_job_says_otherwise() -> None:
    spec = submission().spec
    for shape, node in (("2x3x2", "2x3x2:torus"), ("2x3x2:mesh", "2x3x2:mesh")):
        assert f'-L "node={node}"' in pjm.options(replace(submission(), spec=replace(spec, shape=shape)))


@pytest.mark.parametrize(("ranks", "threads"), [(1, 48), (4, 12), (48, 1)])
def test_ranks_share_the_cores_of_their_node(ranks: int, threads: int) -> None:
    files = pjm.files(submission(ranks_per_node=ranks))
    assert f'export OMP_NUM_THREADS="{threads}"' in files["rank.sh"]
    assert f'#PJM --mpi "proc={12 * ranks},max-proc-per-node={ranks}"' in files["job.sh"]
    assert ("numactl" in files["rank.sh"]) == (ranks == 1)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"gpus_per_node": 4}, "nodes have no GPUs"),
        ({"ranks_per_node": 96}, "96 ranks a node, but a node has 48 cores"),
    ],
)
def test_what_a_node_does_not_have_is_refused(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(JobError, match=message):
        pjm.files(submission(**asked))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Runs a batch script as PJM does, with programs that write down how they are called."""
    for name, text in PROGRAMS.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    environ = os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "PJM_JOBID": "7"}

    started: list[subprocess.Popen[str]] = []

    def start(submission: Submission, *codes: int) -> "subprocess.Popen[str]":
        (tmp_path / "codes").write_text("".join(f"{code}\n" for code in codes))
        for name, text in pjm.files(submission).items():
            path = tmp_path / submission.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        command = ["bash", str(submission.directory / "job.sh")]
        started.append(
            subprocess.Popen(
                command, cwd=tmp_path, env=environ, text=True, stderr=subprocess.PIPE, start_new_session=True
            )
        )
        return started[-1]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):  # all of them have ended
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def calls(directory: Path, *, until: str = "") -> list[str]:
    path, end = directory / "calls", time.monotonic() + 20
    while until and not (path.exists() and until in path.read_text()):
        assert time.monotonic() < end, f"{until} never came"
        time.sleep(0.01)
    return path.read_text().splitlines()


def test_run_that_fails_is_started_again_with_the_same_map(start: Any, tmp_path: Path) -> None:
    asked = submission()
    placed = replace(asked, coordinates=np.arange(12)[:, None])
    process = start(placed, 1, 0)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    mpiexec = (
        "mpiexec -n 12 --vcoordfile runs/small run/submit/ranks.txt -x PATH "
        "-std-proc runs/small run/submit/7/%/1000r/rank bash runs/small run/submit/rank.sh"
    )
    train = "train job.toml threads=48 paging=demand:demand:demand"
    transfer = "llio_transfer job.toml runs/small run/submit/rank.sh"
    assert calls(tmp_path) == [transfer, mpiexec, train, mpiexec, train]
    assert "restart 1 of 3" in said


def test_data_is_copied_to_the_node_before_ranks_start(start: Any, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/shard").write_text("pictures")
    process = start(submission(stage=f"{tmp_path}/node"), 0)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert (tmp_path / "node/data/shard").read_text() == "pictures"
    assert f"train job.toml --set data.path={tmp_path}/node/data threads=48" in calls(tmp_path)[-1]


def test_data_that_is_not_there_ends_the_job_before_ranks_start(start: Any, tmp_path: Path) -> None:
    process = start(submission(stage=f"{tmp_path}/node"), 0)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert not any(call.startswith("train") for call in calls(tmp_path))


def test_signal_of_the_scheduler_lets_ranks_stop_by_themselves(start: Any, tmp_path: Path) -> None:
    process = start(submission())
    calls(tmp_path, until="waiting")
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0
    assert calls(tmp_path)[-1] == "warned"
    assert "stopped by a warning; submit 'runs/small run/submit/job.sh' again to go on" in said


def test_ranks_are_warned_in_time_even_if_the_scheduler_says_nothing(start: Any, tmp_path: Path) -> None:
    process = start(submission(time_limit_s=3, warning_s=2))
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert calls(tmp_path)[-1] == "warned"


def test_scheduler_is_offered_to_the_program() -> None:
    scheduler = with_fugaku().scheduler("pjm")
    assert scheduler.submit == ("pjsub",)
    assert next(iter(scheduler.files(submission()))) == "job.sh"


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for each, content in scripts(pjm.files(fugaku_llm())).items():
        (GOLDEN / each).write_text(content, encoding="utf-8")
