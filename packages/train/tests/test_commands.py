import json
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
    return checkpoint.load_model(checkpoint.newest(directory))


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


@pytest.mark.usefixtures("dataset", "quick_peak")
def test_signal_to_one_rank_stops_all_and_one_rank_goes_on_with_what_two_have_shared(
    job_file, run_ranks, make_plugins, read_log, capsys, tmp_path
):
    one, moved = (tmp_path / "runs" / name for name in ("one", "moved"))
    assert main(["train", str(job_file("one", train={**STEPS["train"], "steps": 5}))], make_plugins()) == 0
    # nobody is told of a rank that is silent, however long
    train = {**STEPS["train"], "steps": 5, "hang_limit_s": 0.0}
    done = run_ranks(job_file("moved", train=train, parallel={"tensor": 2, "zero": 1}), "stop", 1, 2)
    assert (done.returncode, errors(done)) == (0, [])
    assert done.stderr.splitlines()[-1] == (
        f"moved: stopped by another rank's signal after step 3 of 5, which is kept in {moved}; "
        "the same command goes on from there"
    )
    assert len(losses(read_log, moved)) == checkpoint.steps_saved(moved) == 3
    capsys.readouterr()
    assert main(["train", str(job_file("moved", train=train, parallel={"microbatch": 4}))], make_plugins()) == 0
    assert "going on after step 3" in capsys.readouterr().err
    assert losses(read_log, moved) == pytest.approx(losses(read_log, one), rel=1e-5)
    for name, parameter in parameters(one).items():
        torch.testing.assert_close(parameters(moved)[name], parameter, rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("dataset")
def test_rank_that_hangs_is_named_and_all_end(job_file, run_ranks):
    done = run_ranks(job_file(train={**STEPS["train"], "hang_limit_s": 5.0}), "hang", 1, 3)
    assert done.returncode != 0
    (message,) = [line for line in done.stderr.splitlines() if "hangs" in line]
    assert re.match(
        r"fujimi: error: rank 1 \(pid \d+ on .*\) hangs: for .* s it is at 'reading a batch' after step 3", message
    )


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
    assert message.startswith("fujimi: error: rank 0: job 'test': train.global_batch 7 does not divide into 2 ")


@pytest.mark.usefixtures("dataset", "quick_peak")
def test_run_leaves_log_job_and_checkpoint(job_file, plugins, capsys, tmp_path):
    job = job_file()
    assert main(["train", str(job)], plugins) == 0
    assert capsys.readouterr().err.splitlines()[-1].startswith("done: 6 steps, ")
    directory = tmp_path / "runs" / "test"
    assert sorted(path.name for path in directory.iterdir()) == ["job.toml", "log.jsonl", "step-00000006"]


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
    assert (tmp_path / "runs" / "other" / "step-00000002").is_dir()


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
    assert "fujimi: error: job 'test': training diverged: the loss is nan at step 2; " in capsys.readouterr().err


def test_capture_writes_a_workload_and_says_what_is_in_it(job_file, plugins, capsys, tmp_path):
    out = tmp_path / "workload.jsonl"
    assert main(["capture", str(job_file()), "--ranks", "1024", "--out", str(out)], plugins) == 0
    role, file = capsys.readouterr().out.splitlines()
    workload = workload_file.load(out)
    assert workload.mesh.world_size == 1024
    assert role.startswith(f"every rank: embed, blocks.0-1, head: {len(workload.roles[0].events)} events, ")
    assert file.startswith(f"{out}: 1,024 ranks, captured in ")


def test_capture_needs_a_rank(job_file, plugins, capsys, tmp_path):
    out = tmp_path / "workload.jsonl"
    assert main(["capture", str(job_file()), "--ranks", "0", "--out", str(out)], plugins) == 2
    assert "--ranks 0: at least 1 is needed" in capsys.readouterr().err
    assert not out.exists()


def test_each_stage_of_a_pipeline_is_captured(job_file, plugins, capsys, tmp_path):
    job = job_file(parallel={"pipeline": 2, "tensor": 2})
    assert main(["capture", str(job), "--ranks", "64", "--out", str(tmp_path / "w.jsonl")], plugins) == 0
    first, last, _ = capsys.readouterr().out.splitlines()
    assert first.startswith("pipeline rank 0: embed, blocks.0: ")
    assert last.startswith("pipeline rank 1: blocks.1, head: ")


@pytest.mark.usefixtures("dataset", "quick_peak")
def test_exported_parameters_are_those_of_the_newest_checkpoint(job_file, plugins, capsys, tmp_path):
    assert main(["train", str(job_file(train={"checkpoint_every": 2}))], plugins) == 0
    run, out = tmp_path / "runs" / "test", tmp_path / "model.safetensors"
    assert main(["checkpoint", "export", str(run), "--out", str(out)], plugins) == 0
    assert capsys.readouterr().out == f"{out}: parameters of {run / 'step-00000006'}\n"
    header = json.loads(out.read_bytes()[8:].split(b"}}")[0] + b"}}")
    assert {name: entry["shape"] for name, entry in header.items() if name != "__metadata__"} == {
        name: list(parameter.shape) for name, parameter in parameters(run).items()
    }
    of_step_4 = tmp_path / "older.safetensors"
    assert main(["checkpoint", "export", str(run / "step-00000004"), "--out", str(of_step_4)], plugins) == 0
    assert out.read_bytes() != of_step_4.read_bytes()


def test_run_without_a_checkpoint_cannot_be_exported(plugins, capsys, tmp_path):
    assert main(["checkpoint", "export", str(tmp_path), "--out", str(tmp_path / "model")], plugins) == 1
    assert f"no checkpoint in {tmp_path}; train the job first" in capsys.readouterr().err
