import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
collect_ignore_glob = ["plan_*.py"]  # programs; each imports its neighbours
PROGRAMS = Path(sys.executable).parent

JOB = """\
name = "small"
[model]
name = "vit_tiny"
patch = 16
channels = 1
[data]
path = "{data}"
family = "{family}"
classes = 3
instances = 8
pixels = 32
[train]
steps = 2
batch_per_rank = 4
out = "{out}"
[parallel]
precision = "float32"
"""


@pytest.fixture(scope="session")
def fujimi():
    """Runs the program as a user does; returns the finished process."""

    def run(*arguments, ranks=1, **environ):
        command = [str(PROGRAMS / "fujimi"), *map(str, arguments)]
        if ranks > 1:
            command = [str(PROGRAMS / "mpiexec"), "-n", str(ranks), *command]
        env = {**os.environ, **environ}
        return subprocess.run(command, capture_output=True, text=True, timeout=180, check=False, env=env)

    return run


@pytest.fixture(scope="session")
def succeed(fujimi):
    """Runs the program, which must succeed; returns what it printed."""

    def run(*arguments, **keywords):
        done = fujimi(*arguments, **keywords)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def simulate(succeed):
    """Runs ``fujimi simulate --json``; returns the report."""

    def run(job, machine, nodes, *arguments):
        return json.loads(succeed("simulate", job, "--machine", machine, "--nodes", nodes, "--json", *arguments))

    return run


@pytest.fixture(scope="session")
def small(tmp_path_factory, succeed, write_job):
    """A small VisualAtom dataset, and the job file that names it."""
    directory = tmp_path_factory.mktemp("small")
    sizes = ["--classes", 3, "--instances", 8, "--pixels", 32, "--samples-per-shard", 12]
    succeed("data", "generate", "visualatom", *sizes, "--out", directory / "data")
    return write_job(directory)


@pytest.fixture(scope="session")
def workload(tmp_path_factory, succeed, small):
    """What one step of the small job does on 48 ranks."""
    file = tmp_path_factory.mktemp("workload") / "small.jsonl"
    succeed("capture", small, "--ranks", 48, "--out", file)
    return file


@pytest.fixture(scope="session")
def write_job():
    """Writes a job file into a directory, beside its data."""

    def write(directory, family="visualatom"):
        file = directory / "job.toml"
        file.write_text(JOB.format(data=directory / "data", family=family, out=directory / "runs"))
        return file

    return write
