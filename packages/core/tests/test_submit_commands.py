"""fujimi submit: what it prints, writes, and gives to the scheduler."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from fujimi_core import commands
from fujimi_core.cli import main
from fujimi_core.hookspecs import hookimpl
from fujimi_core.offers import Scheduler
from fujimi_core.plugins import Plugins
from fujimi_core.submission import Submission

JOB = """\
name = "tiny"
model = { name = "vit_tiny" }
data = { family = "fractal", classes = 10, instances = 10 }
train = { steps = 2, batch_per_rank = 4 }
submit = { nodes = 4, time_limit_s = "1 h" }
"""


def files(submission: Submission) -> Mapping[str, str]:
    return {"job.sh": f"echo {submission.ranks} ranks\n", "rank.sh": "fujimi train\n" * 3}


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plugins:
    """A scheduler whose program, qput, is not installed."""

    @hookimpl
    def fujimi_launchers() -> Sequence[Scheduler]:
        return [Scheduler(name="queue", summary="a queue", files=files, submit=("qput", "-v"))]

    found = Plugins(strict=True)
    found.register(commands, "core")
    found.register(SimpleNamespace(fujimi_launchers=fujimi_launchers), "queues")
    (tmp_path / "job.toml").write_text(JOB)
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    monkeypatch.chdir(tmp_path)
    return found


def install(program: str) -> None:
    path = Path("bin/qput")
    path.write_text(f"#!/bin/bash\n{program}\n")
    path.chmod(0o755)


def test_dry_run_prints_the_script_and_names_the_files_but_writes_none(
    plugins: Plugins, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", "job.toml", "--scheduler", "queue", "--dry-run"], plugins) == 0
    assert capsys.readouterr().out.splitlines() == [
        "echo 4 ranks",
        "",
        "# Nothing is written or submitted; without --dry-run there would be:",
        "# runs/tiny/submit/job.sh: 1 line",
        "# runs/tiny/submit/rank.sh: 3 lines",
    ]
    assert not Path("runs").exists()


def test_script_is_written_and_given_to_the_schedulers_program(
    plugins: Plugins, capsys: pytest.CaptureFixture[str]
) -> None:
    install('echo "$@"; bash "${@: -1}"')
    assert main(["submit", "job.toml", "--scheduler", "queue"], plugins) == 0
    assert capsys.readouterr().out.splitlines() == ["-v runs/tiny/submit/job.sh", "4 ranks"]
    assert Path("runs/tiny/submit/rank.sh").read_text() == "fujimi train\n" * 3


def test_where_the_scheduler_is_not_installed_the_script_is_left_and_named(
    plugins: Plugins, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["submit", "job.toml", "--scheduler", "queue"], plugins) == 1
    written = capsys.readouterr()
    assert written.out == ""
    assert "'qput' is not installed here; the batch script is runs/tiny/submit/job.sh: " in written.err
    assert "submit with 'qput -v runs/tiny/submit/job.sh'" in written.err
    assert Path("runs/tiny/submit/job.sh").exists()


def test_refusal_of_the_scheduler_is_passed_on(plugins: Plugins, capsys: pytest.CaptureFixture[str]) -> None:
    install("echo no budget left >&2; exit 3")
    assert main(["submit", "job.toml", "--scheduler", "queue"], plugins) == 1
    assert "'qput -v runs/tiny/submit/job.sh' failed with exit code 3: no budget left" in capsys.readouterr().err


def test_scheduler_that_nobody_offers_is_refused(plugins: Plugins, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "job.toml", "--scheduler", "quue"], plugins) == 2
    assert capsys.readouterr().err == (
        "fujimi: error: Unknown scheduler: 'quue'. Known: queue. Did you mean 'queue'?\n"
    )
