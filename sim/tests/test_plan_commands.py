import json
from pathlib import Path

import pytest
from fujimi_core.cli import main
from fujimi_core.job import Job, to_toml
from fujimi_core.plugins import Plugins

Captured = pytest.CaptureFixture[str]


def test_table_and_json_tell_of_the_same_plans(job_file: Path, plugins: Plugins, capsys: Captured) -> None:
    words = ["plan", str(job_file), "--machine", "toy", "--nodes", "4", "--top", "1"]
    assert main(words, plugins) == 0
    text = capsys.readouterr().out
    assert main([*words, "--json"], plugins) == 0
    table = json.loads(capsys.readouterr().out)
    assert table["counts"]["simulated"] >= 1
    assert f"{table['counts']['looked_at']:,} plans" in text
    assert table["best"][0]["rank"] == 1
    assert table["best"][0]["point"]["nodes"] == 4


def test_network_that_is_no_row_of_blocks_is_planned_whole(job_file: Path, plugins: Plugins, capsys: Captured) -> None:
    assert main(["plan", str(job_file), "--machine", "toy", "--nodes", "4", "--json"], plugins) == 0
    table = json.loads(capsys.readouterr().out)
    assert {each["parallel"]["pipeline"] for each in table["best"]} == {1}


def test_keys_of_the_job_can_be_replaced(job: Job, tmp_path: Path, plugins: Plugins, capsys: Captured) -> None:
    path = tmp_path / "job.toml"
    path.write_text(to_toml(job), encoding="utf-8")
    words = ["plan", str(path), "--machine", "toy", "--nodes", "4", "--set", "train.global_batch=3"]
    assert main(words, plugins) == 0
    assert "the job's own plan is none on 4 nodes: job 'tiny': train.global_batch 3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nodes", "0"], "'0': write a whole number that is not below 1"),
        (["--nodes", "65"], "machine 'toy' has 64 nodes; 65 cannot be used"),
        (["--nodes", "2", "--objective", "joy"], "invalid choice: 'joy'"),
        (["--nodes", "2", "--objective", "energy"], "'toy' does not tell its power"),
    ],
)
def test_what_cannot_be_planned_for_is_refused(
    job_file: Path, plugins: Plugins, capsys: Captured, words: list[str], message: str
) -> None:
    assert main(["plan", str(job_file), "--machine", "toy", *words], plugins) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert message in written.err
