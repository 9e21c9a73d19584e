"""Scripts for Slurm: what they ask for, and what they do where Slurm's programs are replaced.

After a change that is meant: python plugins/gpu/tests/test_slurm.py
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fujimi_core import job as jobs
from fujimi_core.errors import JobError
from fujimi_core.plugins import Plugins
from fujimi_core.submission import Submission, submission_of
from fujimi_gpu import plugin, slurm

GOLDEN = Path(__file__).parent / "slurm"
#: Each writes down its arguments; srun runs what follows its own and, as Slurm's, passes SIGUSR1 on.
PROGRAMS = {
    "scontrol": 'echo "scontrol $*" >> calls\n[ "$1" != show ] || printf "node5\\nnode6\\n"',
    "srun": """\
echo "srun $* at $MASTER_ADDR:$MASTER_PORT" >> calls
while [ "$1" != bash ]; do shift; done
trap 'kill -USR1 $task; wait $task; exit $?' USR1
"$@" &
task=$!
touch passes_signals
wait $task""",
    "fujimi": """\
trap 'echo warned >> calls; exit 0' USR1
echo "$* threads=$OMP_NUM_THREADS" >> calls
while [ ! -s codes ]; do sleep 0.02; done
code=$(head -n 1 codes)
sed -i 1d codes
exit "$code\"""",
}


def example() -> Submission:
    job = jobs.load(Path(__file__).with_name("slurm_job.toml"))
    return submission_of(job, Path("job.toml"), Plugins(strict=True))


def plain(**asked: Any) -> Submission:
    """The example, without what only clusters have; with other things asked for."""
    spec = replace(example().spec, stage="", setup=(), **asked)
    return replace(example(), spec=spec)


def test_scripts_are_those_that_were_agreed() -> None:
    for name, text in slurm.files(example()).items():
        assert text == (GOLDEN / name).read_text(encoding="utf-8")


def test_only_what_the_job_says_is_asked_for() -> None:
    bare = {"gpus_per_node": 0, "threads_per_rank": None, "group": "", "queue": "", "options": (), "environment": {}}
    files = slurm.files(plain(**bare))
    assert [option.split("=")[0] for option in slurm.options(plain(**bare))] == [
        "--job-name",
        "--nodes",
        "--ntasks-per-node",
        "--time",
        "--signal",
        "--requeue",
        "--open-mode",
        "--output",
    ]
    assert "--cpus-per-task" not in files["job.sh"]
    assert "OMP_NUM_THREADS" not in files["rank.sh"]


@pytest.mark.parametrize("asked", [{}, {"stage": "$TMPDIR/it's here"}, {"restarts": 0}])
def test_shell_understands_the_scripts(asked: dict[str, Any]) -> None:
    for text in slurm.files(replace(example(), spec=replace(example().spec, **asked))).values():
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)


def test_shape_is_refused() -> None:
    with pytest.raises(JobError, match=r"submit\.shape is 2x2, but Slurm knows no shapes; leave it out"):
        slurm.files(plain(shape="2x2"))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    """Runs a batch script as Slurm does, with programs that write down how they are called."""
    for name, text in PROGRAMS.items():
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    slurms = {"SLURM_JOB_ID": "123456", "SLURM_JOB_NODELIST": "node[5-6]"}
    environ = os.environ | slurms | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}

    started: list[subprocess.Popen[str]] = []

    def start(submission: Submission, *codes: int, **more: str) -> "subprocess.Popen[str]":
        (tmp_path / "codes").write_text("".join(f"{code}\n" for code in codes))
        for name, text in slurm.files(submission).items():
            path = tmp_path / submission.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        command = ["bash", str(submission.directory / "job.sh")]
        started.append(
            subprocess.Popen(
                command, cwd=tmp_path, env=environ | more, text=True, stderr=subprocess.PIPE, start_new_session=True
            )
        )
        return started[-1]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):  # all of them have ended
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(path: Path, text: str = "") -> None:
    end = time.monotonic() + 20
    while not (path.exists() and text in path.read_text()):
        assert time.monotonic() < end, f"{text} never came into {path}"
        time.sleep(0.01)


def calls(directory: Path, *, until: str = "") -> list[str]:
    wait_for(directory / "calls", until)
    return (directory / "calls").read_text().splitlines()


def test_run_that_fails_is_started_again_and_meets_on_the_first_node(start: Any, tmp_path: Path) -> None:
    process = start(plain(), 1, 0)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    srun = (
        "srun --distribution=block --kill-on-bad-exit=1 --cpus-per-task=12 bash runs/vit_base/submit/rank.sh "
        f"at node5:{10_000 + 123_456 % 50_000}"
    )
    train = "train job.toml threads=12"
    assert calls(tmp_path) == ["scontrol show hostnames node[5-6]", srun, train, srun, train]
    assert "restart 1 of 3" in said


def test_data_is_copied_by_one_task_of_each_node_before_ranks_start(start: Any, tmp_path: Path) -> None:
    (tmp_path / "data/visualatom_1k").mkdir(parents=True)
    (tmp_path / "data/visualatom_1k/shard").write_text("pictures")
    process = start(replace(plain(), spec=replace(plain().spec, stage=f"{tmp_path}/$SLURM_JOB_ID")), 0)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert calls(tmp_path)[1].startswith("srun --nodes=4 --ntasks=4 --ntasks-per-node=1 bash -c")
    assert calls(tmp_path)[-1] == f"train job.toml --set data.path={tmp_path}/123456/visualatom_1k threads=12"
    assert (tmp_path / "123456/visualatom_1k/shard").read_text() == "pictures"


@pytest.mark.parametrize(
    ("warning", "turns", "requeued"),
    [
        (signal.SIGUSR1, "0", True),  # the time limit is near
        (signal.SIGUSR1, "2", True),
        (signal.SIGUSR1, "3", False),  # no restart is left
        (signal.SIGTERM, "0", False),  # somebody cancels the job
    ],
)
def test_run_that_is_warned_stops_by_itself_and_waits_for_another_turn(
    start: Any, tmp_path: Path, warning: signal.Signals, turns: str, requeued: bool
) -> None:
    process = start(plain(), SLURM_RESTART_COUNT=turns)
    calls(tmp_path, until="train")
    wait_for(tmp_path / "passes_signals")
    process.send_signal(warning)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    done = calls(tmp_path)
    assert done.count("warned") == 1
    assert len([call for call in done if call.startswith("srun")]) == 1
    assert (done[-1] == "scontrol requeue 123456") == requeued


def test_scheduler_is_offered_to_the_program() -> None:
    plugins = Plugins(strict=True)
    plugins.register(plugin, "gpu")
    scheduler = plugins.scheduler("slurm")
    assert scheduler.submit == ("sbatch",)
    assert next(iter(scheduler.files(example()))) == "job.sh"


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for each, content in slurm.files(example()).items():
        (GOLDEN / each).write_text(content, encoding="utf-8")
