"""Batch scripts: that shells read them, restart what fails and pass warnings on."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fujimi_core.batch_script import clock, expanded, job_name, rank_script, run_with_restarts, stage_command
from fujimi_core.job import from_table
from fujimi_core.plugins import Plugins
from fujimi_core.submission import Submission, submission_of

Ask = Callable[..., Submission]
Start = Callable[..., "subprocess.Popen[str]"]

#: Writes down that it began; ends when it is warned, or at once with the next of some exit codes.
RANKS = """\
trap 'echo warned >> log; sleep 0.1; exit 0' USR1
echo began >> log
if [ -s codes ]; then
    code=$(head -n 1 codes)
    sed -i 1d codes
    exit "$code"
fi
while :; do sleep 0.02; done
"""


@pytest.fixture
def ask(job_table: dict[str, Any]) -> Ask:
    def ask(name: str = "tiny", path: str = "data", **asked: Any) -> Submission:
        table = job_table | {"name": name, "submit": {"nodes": 4, "time_limit_s": 3_600} | asked}
        table["data"]["path"] = path
        return submission_of(from_table(table), Path("my job.toml"), Plugins())

    return ask


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the lines that restart a command, and says in the end what they know."""
    (tmp_path / "ranks.sh").write_text(RANKS)
    started: list[subprocess.Popen[str]] = []

    def start(*codes: int, restarts: int = 3) -> "subprocess.Popen[str]":
        (tmp_path / "codes").write_text("".join(f"{code}\n" for code in codes))
        script = run_with_restarts("bash ranks.sh", restarts) + 'echo "$code" "$warned"\n'
        command = ["bash", "-u", "-c", script]
        started.append(
            subprocess.Popen(
                command,
                cwd=tmp_path,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        )
        return started[-1]

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):  # all of them have ended
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def log(directory: Path) -> list[str]:
    path = directory / "log"
    return path.read_text().split() if path.exists() else []


def wait_until_begun(directory: Path) -> None:
    end = time.monotonic() + 20
    while "began" not in log(directory) and time.monotonic() < end:
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("codes", "began", "code"),
    [((0,), 1, 0), ((1, 0), 2, 0), ((1, 134, 7, 9), 4, 9), ((2,), 1, 2), ((1, 2), 2, 2)],
)
def test_run_is_started_again_until_it_is_done_or_its_job_is_wrong(
    start: Start, tmp_path: Path, codes: tuple[int, ...], began: int, code: int
) -> None:
    said, told = start(*codes).communicate(timeout=20)
    assert said.split() == [str(code)]
    assert log(tmp_path) == ["began"] * began
    assert told.count("fujimi submit: exit code") == began - 1


def test_without_restarts_a_run_is_tried_once(start: Start, tmp_path: Path) -> None:
    assert start(1, 0, restarts=0).communicate(timeout=20)[0].split() == ["1"]
    assert log(tmp_path) == ["began"]


@pytest.mark.parametrize("warning", [signal.SIGUSR1, signal.SIGTERM])
def test_warning_reaches_the_run_which_ends_by_itself_and_is_not_started_again(
    start: Start, tmp_path: Path, warning: signal.Signals
) -> None:
    script = start()
    wait_until_begun(tmp_path)
    script.send_signal(warning)
    said, _ = script.communicate(timeout=20)
    assert said.split() == ["0", warning.name.removeprefix("SIG")]
    assert log(tmp_path) == ["began", "warned"]


def test_each_rank_runs_the_job_with_its_environment_after_the_setup(ask: Ask) -> None:
    submission = ask(setup=["source venv/bin/activate"], environment={"A": "$HOME/a", "OMP_NUM_THREADS": "3"})
    assert rank_script(submission, environment={"OMP_NUM_THREADS": "12"}, inside=("nice", "-n", "5")).splitlines() == [
        "#!/bin/bash",
        "# What each rank of job 'tiny' runs; written by 'fujimi submit'.",
        "set -e",
        "source venv/bin/activate",
        'export OMP_NUM_THREADS="3"',
        'export A="$HOME/a"',
        "exec nice -n 5 fujimi train 'my job.toml'",
    ]


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_ranks_read_the_staged_data_where_it_was_copied_to(ask: Ask, tmp_path: Path, kind: str) -> None:
    source = tmp_path / "my data"
    if kind == "directory":
        source.mkdir()
    (source / "shard" if kind == "directory" else source).write_text("tokens")
    program = tmp_path / "fujimi"
    program.write_text('#!/bin/bash\nprintf "%s\\n" "$@"\n')
    program.chmod(0o755)
    submission = ask(path=str(source), stage="$NODE/stage here")
    environ = os.environ | {"NODE": str(tmp_path / "node"), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    for _ in range(2):  # a job that is started again finds the copy
        subprocess.run(["bash", "-c", stage_command(submission)], check=True, env=environ)
    script = rank_script(submission, environment={})
    done = subprocess.run(["bash", "-c", script], check=True, env=environ, capture_output=True, text=True)
    *command, setting = done.stdout.splitlines()
    assert command == ["train", "my job.toml", "--set"]
    staged = Path(setting.removeprefix("data.path="))
    assert staged == tmp_path / "node/stage here/my data"
    assert (staged / "shard" if kind == "directory" else staged).read_text() == "tokens"
    assert len(list(staged.parent.rglob("*"))) == (2 if kind == "directory" else 1)


@pytest.mark.parametrize("text", ["plain", "two words", 'a "b" c', "`id`", "back\\slash", "$VALUE/x"])
def test_variables_of_a_text_are_replaced_and_nothing_else_is(text: str) -> None:
    command = f"printf %s {expanded(text)}"
    done = subprocess.run(["bash", "-c", command], check=True, capture_output=True, text=True, env={"VALUE": "$y"})
    assert done.stdout == text.replace("$VALUE", "$y")


@pytest.mark.parametrize(
    ("seconds", "text"), [(59, "00:00:59"), (3_600, "01:00:00"), (86_399, "23:59:59"), (594_000, "165:00:00")]
)
def test_times_are_written_with_hours_beyond_a_day(seconds: int, text: str) -> None:
    assert clock(seconds) == text


def test_schedulers_get_a_name_without_spaces_and_signs(ask: Ask) -> None:
    assert job_name(ask(name="vit base/2 (test)")) == "vit_base_2__test_"
