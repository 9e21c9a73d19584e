import json
import sys

import pytest
from fujimi_core.job import load
from fujimi_core.progress import CheckpointSaved, RunFinished, RunStarted, StepFinished, StepRejected
from fujimi_train.watch import RunLog, Watcher


def started(job, first_step=0):
    return RunStarted(job=job, ranks=2, first_step=first_step, device="Abacus", peak_flops_per_s=2e12)


def step(number):
    return StepFinished(
        step=number, loss=1 / number, step_s=0.5, samples_per_s=16.0, fraction_of_peak=0.25, learning_rate=0.1
    )


def watch(job, *, first_step=0):
    with Watcher() as watcher:
        watcher.fujimi_run_started(started(job, first_step))
        for number in range(first_step + 1, job.train.steps + 1):
            watcher.fujimi_step_finished(step(number))
        watcher.fujimi_run_finished(RunFinished(steps=job.train.steps, seconds=3.0, final_loss=0.125))


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    monkeypatch.delenv("TTY_INTERACTIVE", raising=False)


@pytest.mark.parametrize(("steps", "lines"), [(1, 1), (7, 7), (20, 20), (39, 20), (240, 20), (1000, 20)])
def test_where_there_is_no_terminal_at_most_twenty_steps_are_shown_and_the_last_is(make_job, capsys, steps, lines):
    watch(make_job(train={"steps": steps}))
    out, err = capsys.readouterr()
    shown = [line for line in err.splitlines() if line.startswith("step ")]
    assert len(shown) == lines
    assert shown[-1] == f"step {steps}/{steps}  loss {1 / steps:.4f}  0.500 s  16 samples/s  25.0% of peak"
    assert "\x1b" not in err
    assert out == ""


def test_beginning_and_end_are_told(make_job, capsys):
    watch(make_job())
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "test: 6 steps on 2 rank(s); each Abacus, float32, measured peak 2 TFLOP/s"
    assert lines[-1] == "done: 6 steps, 3.0 s, loss 0.1250"


def test_run_that_goes_on_says_from_where(make_job, capsys):
    watch(make_job(), first_step=4)
    assert "going on after step 4" in capsys.readouterr().err


def force_terminal(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def terminal_behind_mpiexec(monkeypatch):
    monkeypatch.setenv("TTY_INTERACTIVE", "1")


@pytest.mark.parametrize("terminal", [force_terminal, terminal_behind_mpiexec])
def test_on_a_terminal_there_is_a_bar(make_job, capsys, monkeypatch, terminal):
    terminal(monkeypatch)
    watch(make_job())
    err = capsys.readouterr().err
    assert "6/6" in err
    assert "25.0% of peak" in err
    assert "step 1/6" not in err


def test_bar_is_taken_down_when_a_run_fails(make_job, capsys, monkeypatch):
    terminal_behind_mpiexec(monkeypatch)
    show_cursor = "\x1b[?25h"
    with Watcher() as watcher:
        watcher.fujimi_run_started(started(make_job()))
        assert show_cursor not in capsys.readouterr().err
    assert show_cursor in capsys.readouterr().err


def test_bad_steps_are_told_and_logged_as_they_come(make_job, log, capsys, tmp_path):
    rejected = StepRejected(step=2, reason="the loss is nan at step 2; its update is left out (1 of 5 in a row)")
    Watcher().fujimi_step_rejected(rejected)
    assert capsys.readouterr().err == f"{rejected.reason}\n"
    with log:
        log.fujimi_run_started(started(make_job()))
        log.fujimi_step_rejected(rejected)
        line = (tmp_path / "log" / "log.jsonl").read_text()
    assert json.loads(line) == {"step": 2, "rejected": rejected.reason}


@pytest.fixture
def log(tmp_path):
    return RunLog(tmp_path / "log")


def write(log, job, steps, *, first_step=0):
    log.fujimi_run_started(started(job, first_step))
    for number in steps:
        log.fujimi_step_finished(step(number))
    log.fujimi_run_finished(RunFinished(steps=6, seconds=3.0, final_loss=0.125))


def test_log_has_the_job_with_its_defaults_and_a_line_a_step(make_job, log, read_log, tmp_path):
    write(log, make_job(), [1, 2])
    assert load(tmp_path / "log" / "job.toml") == make_job()
    assert read_log(tmp_path / "log")[2] == {
        "step": 2,
        "loss": 0.5,
        "step_s": 0.5,
        "samples_per_s": 16.0,
        "fraction_of_peak": 0.25,
        "learning_rate": 0.1,
    }


def test_step_is_on_disk_before_the_run_ends(make_job, log, tmp_path):
    log.fujimi_run_started(started(make_job()))
    log.fujimi_step_finished(step(1))
    log.fujimi_checkpoint_saved(CheckpointSaved(step=1, path=tmp_path / "step-1.pt"))
    lines = (tmp_path / "log" / "log.jsonl").read_text().splitlines()
    assert json.loads(lines[-1]) == {"step": 1, "checkpoint": str(tmp_path / "step-1.pt")}
    log.fujimi_run_finished(RunFinished(steps=1, seconds=1.0, final_loss=1.0))


def test_steps_that_are_done_again_are_logged_once(make_job, log, tmp_path):
    write(log, make_job(), [1, 2, 3, 4, 5])
    path = tmp_path / "log" / "log.jsonl"
    path.write_text(path.read_text() + '{"step": 6, "lo')  # killed while it wrote
    write(log, make_job(), [4, 5, 6], first_step=3)
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3, 4, 5, 6]


def test_run_that_begins_anew_begins_a_new_log(make_job, log, read_log, tmp_path):
    write(log, make_job(), [1, 2, 3])
    write(log, make_job(), [1])
    assert list(read_log(tmp_path / "log")) == [1]
