"""Every kind of parallel plan, against a single process."""

import re
import subprocess
import sys
from pathlib import Path


def test_few_of_each_kind_of_plan_equal_a_single_process(tmp_path):
    page = tmp_path / "plans.md"
    program = Path(__file__).with_name("plan_coverage.py")
    command = [sys.executable, str(program), "--quick", "--page", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == page.read_text()
    plans, exact = map(int, re.search(r"\*\*(\d+) plans\*\* over mpi: (\d+) with bit-equal", done.stdout).groups())
    assert plans > 20
    assert exact >= 3
    assert "0 out of tolerance" in done.stdout
