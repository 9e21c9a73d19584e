import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from fujimi_core import workload_file
from fujimi_core.cli import main
from fujimi_core.job import to_toml
from fujimi_train import checkpoint

TRAINER = Path(__file__).with_name("train_ranks.py")
STEPS = {"train": {"steps": 6, "checkpoint_every": 2, "global_batch": 8, "batch_per_rank": None}}


@pytest.fixture
def job_file(make_job, tmp_path):
    """Writes a job; keywords as for `make_job`."""

    def write(name="test", **sections):
        path = tmp_path / f"{name}.toml"
        path.write_text(to_toml(make_job(name, **sections)))
        return path

    return write


@pytest.fixture
def run_ranks(mpiexec):
    """Trains a job on two ranks; further words tell one of them to fail.

    Ranks give up on one that is silent after 600 s: within the 120 s here, somebody told them.
    """

    def run(job, *failure):
        command = [mpiexec, "-n", "2", sys.executable, str(TRAINER), str(job), *map(str, failure)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return run


def errors(done):
    return [line for line in done.stderr.splitlines() if "error" in line.lower()]


def losses(read_log, directory):
    return [entry["loss"] for _, entry in sorted(read_log(directory).items())]


def parameters(directory):
    return checkpoint.load(checkpoint.newest(directory))["model"]


@pytest.mark.usefixtures("dataset", "quick_peak")
def test_two_ranks_train_what_one_trains_and_go_on_after_one_was_killed(
    job_file, run_ranks, plugins, read_log, tmp_path
):
    one, two, killed = (tmp_path / "runs" / name for name in ("one", "two", "killed"))
    assert main(["train", str(job_file("one", **STEPS))], plugins) == 0
    done = run_ranks(job_file("two", **STEPS))
    assert (done.returncode, errors(done)) == (0, [])
    assert len(losses(read_log, two)) == 6
    # sums in another order: a few units in the last of 24 bits, times some amplification by AdamW
    assert losses(read_log, two) == pytest.approx(losses(read_log, one), rel=1e-5)
    for name, parameter in parameters(one).items():
        torch.testing.assert_close(parameters(two)[name], parameter, rtol=1e-3, atol=1e-4)

    assert run_ranks(job_file("killed", **STEPS), "kill", 1, 5).returncode != 0
    assert run_ranks(tmp_path / "killed.toml").returncode == 0
    assert losses(read_log, killed) == losses(read_log, two)
    assert all(torch.equal(parameters(two)[name], each) for name, each in parameters(killed).items())


@pytest.mark.usefixtures("dataset")
@pytest.mark.parametrize(("failure", "message"), [("raise", "no pictures left"), ("bug", "a bug")])
def test_rank_that_fails_ends_all_with_one_message_that_names_it(job_file, run_ranks, failure, message):
    done = run_ranks(job_file(**STEPS), failure, 1, 3)
    assert done.returncode == 1
    assert done.stderr.count("fujimi: error: ") == 1
    assert f"fujimi: error: rank 1: {message}\n" in done.stderr
    assert ("Traceback" in done.stderr) == (failure == "bug")


def test_what_is_wrong_on_all_ranks_is_told_once(job_file, run_ranks):
    done = run_ranks(job_file(train={"global_batch": 7, "batch_per_rank": None}))
    assert done.returncode == 2
    (message,) = [line for line in done.stderr.splitlines() if line.startswith("fujimi: error: ")]
    assert message.startswith("fujimi: error: rank 0: job 'test': train.global_batch 7 does not divide into 2 ranks")


@pytest.mark.usefixtures("dataset", "quick_peak")
def test_run_leaves_log_job_and_checkpoint(job_file, plugins, capsys, tmp_path):
    job = job_file()
    assert main(["train", str(job)], plugins) == 0
    assert capsys.readouterr().err.splitlines()[-1].startswith("done: 6 steps, ")
    directory = tmp_path / "runs" / "test"
    assert sorted(path.name for path in directory.iterdir()) == ["job.toml", "log.jsonl", "step-00000006.pt"]


@pytest.mark.usefixtures("dataset", "quick_peak")
def test_job_that_is_done_says_so(job_file, make_plugins, capsys, tmp_path):
    assert main(["train", str(job_file())], make_plugins()) == 0
    log = (tmp_path / "runs" / "test" / "log.jsonl").read_bytes()
    capsys.readouterr()
    assert main(["train", str(job_file())], make_plugins()) == 0
    assert capsys.readouterr().err == (
        f"test: all 6 steps are done, by an earlier run, and kept in {tmp_path / 'runs' / 'test'}; "
        "to train anew, give another name or train.out\n"
    )
    assert (tmp_path / "runs" / "test" / "log.jsonl").read_bytes() == log


@pytest.mark.usefixtures("dataset", "quick_peak")
def test_set_replaces_keys(job_file, plugins, capsys, tmp_path):
    changes = ["--set", "name=other", "--set", "train.steps=2"]
    assert main(["train", str(job_file()), *changes], plugins) == 0
    assert "other: 2 steps on 1 rank(s)" in capsys.readouterr().err
    assert (tmp_path / "runs" / "other" / "step-00000002.pt").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.stepz=3", "Unknown key: 'train.stepz'.*Did you mean 'train.steps'?"),
        ("train.steps", "write KEY=VALUE"),
        ("train.steps=0", "steps is 0; at least 1 is needed"),
        ("model.name=vit_tinny", "Unknown model: 'vit_tinny'.*Did you mean 'vit_tiny'?"),
        ("data.path=nowhere", "nowhere: no dataset.*fujimi data generate visualatom --classes 3"),
    ],
)
def test_job_that_cannot_run_is_one_line_and_exit_code_2(job_file, plugins, capsys, change, message):
    assert main(["train", str(job_file()), "--set", change], plugins) == 2
    out, err = capsys.readouterr()
    assert re.search(message.replace("?", "[?]"), err)
    assert (out, err.count("\n")) == ("", 1)


@pytest.mark.usefixtures("dataset", "quick_peak")
def test_training_that_diverges_exits_with_1(job_file, plugins, capsys):
    assert main(["train", str(job_file(optimizer={"learning_rate": 1e30}))], plugins) == 1
    assert "fujimi: error: job 'test': training diverged, the loss is nan at step 2; " in capsys.readouterr().err


def test_capture_writes_a_workload_and_says_what_is_in_it(job_file, plugins, capsys, tmp_path):
    out = tmp_path / "workload.jsonl"
    assert main(["capture", str(job_file()), "--ranks", "1024", "--out", str(out)], plugins) == 0
    role, file = capsys.readouterr().out.splitlines()
    workload = workload_file.load(out)
    assert workload.mesh.world_size == 1024
    assert role.startswith(f"data parallel rank: {len(workload.roles[0].events)} events, ")
    assert file.startswith(f"{out}: 1,024 ranks, captured in ")


def test_capture_needs_a_rank(job_file, plugins, capsys, tmp_path):
    out = tmp_path / "workload.jsonl"
    assert main(["capture", str(job_file()), "--ranks", "0", "--out", str(out)], plugins) == 2
    assert "--ranks 0: at least 1 is needed" in capsys.readouterr().err
    assert not out.exists()
