"""Runs the functions ``check_*`` of a program on several ranks, once; each is a test."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
#: Programs, which only ranks can import.
collect_ignore = ["collectives.py", "two_levels.py", "third_party.py", "torch_suite.py"]


def pytest_generate_tests(metafunc):
    if "check" in metafunc.fixturenames:
        program = (HERE / metafunc.module.PROGRAM).read_text()
        metafunc.parametrize("check", re.findall(r"^def check_(\w+)", program, re.MULTILINE))


@pytest.fixture(scope="module")
def mpiexec():
    """Runs a Python program on several ranks."""

    def run(ranks, *arguments, cwd=None, environment=None):
        mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent))
        assert mpiexec, "the mpich wheel brings mpiexec; install the extra 'test'"
        return subprocess.run(
            [mpiexec, "-n", str(ranks), sys.executable, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=cwd,
            env=environment,
        )

    return run


@pytest.fixture(scope="module")
def failures(request, mpiexec, tmp_path_factory):
    """What failed in each check of the module's program, by rank."""
    folder = tmp_path_factory.mktemp("ranks")
    done = mpiexec(request.module.RANKS, HERE / request.module.PROGRAM, folder)
    assert done.returncode == 0, done.stderr
    return [json.loads((folder / str(rank)).read_text()) for rank in range(request.module.RANKS)]
