"""The guard of examples/ci_guard, as a pull request meets it: copied somewhere, changed, run by pytest."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[1] / "examples" / "ci_guard"


@pytest.fixture
def guarded(tmp_path):
    """Changes the job of the example, if asked to, and runs its test."""
    directory = Path(shutil.copytree(EXAMPLE, tmp_path / "ci_guard", ignore=shutil.ignore_patterns("__pycache__")))

    def run(old="", new=""):
        job = directory / "pretrain.toml"
        text = job.read_text(encoding="utf-8")
        assert old in text
        job.write_text(text.replace(old, new), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "--fujimi-baseline", "baseline.json"]
        env = os.environ | {"COLUMNS": "200"}
        return subprocess.run(command, cwd=directory, env=env, capture_output=True, text=True, timeout=300, check=False)

    return run


def test_change_that_costs_nothing_passes(guarded):
    done = guarded("steps = 100_000", "steps = 200_000")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_all_reduce_for_every_parameter_fails_and_is_named(guarded):
    done = guarded('bucket_bytes = "25 MiB"', 'bucket_bytes = "1 KiB"')
    assert done.returncode == 1, done.stdout + done.stderr
    lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
    assert any(
        line.endswith("pretrain.toml on fugaku, 158,976 nodes: more than 1 % away from what is stored in baseline.json")
        for line in lines
    )
    assert any(line.startswith("E parallel_efficiency ") for line in lines)
    # 12 blocks of 12 parameters, and 8 around them, in buckets of one each; their bytes are the same
    assert any(line.startswith("E all_reduce along dp backward 4 -> 152 87.42 MB ") for line in lines)
    # the largest matrices are those of the two layers of each MLP, 384 × 1,536 × 4 B
    assert any(line.startswith("E of 2.359 MB by ") and " 0 -> 24 " in line for line in lines)
