import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # timings never decide a test
settings.load_profile("untimed")

collect_ignore_glob = ["*_ranks.py"]  # programs, which mpiexec starts


@pytest.fixture
def run_ranks(tmp_path):
    """Runs a program on several ranks; what each writes to ``argv[1]/RANK`` is returned, by rank."""

    def run(program, ranks, *arguments):
        script = tmp_path / "program.py"
        script.write_text(program)
        mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent))
        assert mpiexec, "the mpich wheel brings mpiexec; install the extra 'test'"
        command = [mpiexec, "-n", str(ranks), sys.executable, str(script), str(tmp_path), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return [(tmp_path / str(rank)).read_text() for rank in range(ranks)]

    return run


@pytest.fixture(scope="session")
def engine(tmp_path_factory):
    """What each of four ranks found when they ran the parts of the engine, all in one start."""
    path = tmp_path_factory.mktemp("engine")
    mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent))
    assert mpiexec, "the mpich wheel brings mpiexec; install the extra 'test'"
    program = Path(__file__).with_name("engine_ranks.py")
    command = [mpiexec, "-n", "4", sys.executable, "-W", "error", str(program), str(path)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return [json.loads((path / str(rank)).read_text()) for rank in range(4)]
