import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import numpy as np
from fujimi_data.families.perlin import pnoise1
print(pnoise1(np.float32(0.5)))
"""


def start(cache: Path) -> "subprocess.Popen[str]":
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    return subprocess.Popen([sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, text=True)


def test_processes_that_compile_at_the_same_time_all_get_it_right(tmp_path: Path) -> None:
    processes = [start(tmp_path) for _ in range(2)]
    answers = {process.communicate(timeout=100)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0]
    assert len(answers) == 1
    compiled = [path.name for path in tmp_path.rglob("perlin.pnoise1*.nbc")]
    assert compiled
    assert all("fujimi-data-" in str(path) for path in tmp_path.rglob("*.nbc"))


def test_a_place_that_cannot_be_written_is_no_hindrance(tmp_path: Path) -> None:
    no_directory = tmp_path / "file"
    no_directory.touch()
    process = start(no_directory)
    answer, _ = process.communicate(timeout=100)
    assert process.returncode == 0
    assert float(answer) != 0
