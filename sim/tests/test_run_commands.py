"""fujimi simulate-run: its tables, its JSON, and what it refuses."""

import json
from pathlib import Path

import pytest
from fujimi_core.cli import main
from fujimi_core.errors import FujimiError
from fujimi_core.plugins import Plugins
from fujimi_core.records import build
from fujimi_sim.run.report import RunReport

Capture = pytest.CaptureFixture[str]


def simulate_run(plugins: Plugins, *words: object) -> int:
    return main(["simulate-run", *map(str, words)], plugins)


def test_table_tells_time_parts_and_what_was_left_out(job_file: Path, plugins: Plugins, capsys: Capture) -> None:
    words = [job_file, "--machine", "noisy", "--nodes", "16", "--set", "train.steps=250", "--runs", "3"]
    assert simulate_run(plugins, *words) == 0
    written = capsys.readouterr()
    assert written.err == ""
    lines = written.out.splitlines()
    assert lines[0] == "tiny on 16 nodes of noisy: a prediction from 3 runs of 250 steps, 16,000 samples"
    assert lines[1].split() == ["mean", "p5", "p50", "p95"]
    assert [line.split()[0] for line in lines[2:6]] == ["time", "failures", "submissions", "node-hours"]
    assert any(line.startswith("stragglers") for line in lines)
    assert any(line.startswith("checkpoints: ") and "at the end only" in line for line in lines)
    assert lines[-1] == "left out: the job has no [submit]: no time limit, and any number of restarts"


def test_what_does_not_fit_is_said(job_file: Path, plugins: Plugins, capsys: Capture) -> None:
    assert simulate_run(plugins, job_file, "--machine", "toy", "--nodes", "2", "--runs", "1") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("memory: ")]
    assert lines == [
        "memory: DOES NOT FIT: 2 GiB of 1 GiB; other 100 %; try parallel.pipeline = 2 or parallel.tensor = 2"
    ]


def test_json_is_the_report(job_file: Path, plugins: Plugins, capsys: Capture) -> None:
    assert simulate_run(plugins, job_file, "--machine", "toy", "--nodes", "16", "--runs", "2", "--json") == 0
    report = build(RunReport, json.loads(capsys.readouterr().out), where="stdout", error=FujimiError)
    assert (report.job, report.machine, report.nodes, report.runs, report.steps) == ("tiny", "toy", 16, 2, 1)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nodes", "0"], "'0': write a whole number that is not below 1"),
        (["--nodes", "16", "--runs", "x"], "'x': write a whole number that is not below 1"),
        (["--nodes", "16", "--wait", "2 GB"], "'2 GB' is in B; expected s"),
        (["--nodes", "16", "--wait=-2 h"], "'-2 h': a time is not below 0"),
        (["--nodes", "16", "--on-failure", "weep"], "invalid choice: 'weep'"),
        (["--nodes", "65"], "machine 'toy' has 64 nodes; 65 cannot be used"),
        (["--nodes", "16", "--set", "train.stps=1"], "train.stps"),
    ],
)
def test_what_cannot_be_is_refused(
    words: list[str], message: str, job_file: Path, plugins: Plugins, capsys: Capture
) -> None:
    assert simulate_run(plugins, job_file, "--machine", "toy", *words) == 2
    assert message in capsys.readouterr().err
