import os
import shutil
import subprocess
import sys
from pathlib import Path

TELL = """
import os, sys
from pathlib import Path
from fujimi_core.launch import launch_of
found = launch_of(os.environ)
(Path(sys.argv[1]) / str(found.rank)).write_text(f"{found.launcher} {found.world_size} {found.local_rank}")
"""


def test_ranks_of_mpiexec_are_found(run_ranks):
    assert run_ranks(TELL, 2) == ["mpi 2 0", "mpi 2 1"]


def test_ranks_of_torchrun_are_found(tmp_path):
    script = tmp_path / "tell.py"
    script.write_text(TELL)
    torchrun = shutil.which("torchrun", path=str(Path(sys.executable).parent))
    command = [torchrun, "--standalone", "--nproc-per-node", "2", str(script), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stderr
    assert [(tmp_path / str(rank)).read_text() for rank in range(2)] == ["torchrun 2 0", "torchrun 2 1"]
