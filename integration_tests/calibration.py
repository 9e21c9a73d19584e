"""A real run on 1, 2 and 4 ranks beside its prediction, on the machine that this runs on.

    python integration_tests/calibration.py --page docs/validation.md

For each number of ranks the machine is calibrated, and a small GPT and a small vision transformer are trained right
after; then the same job files are simulated on what the calibration wrote. Nothing else is told to the simulator. The
best step counts, as the best turn does in the calibration: what else runs on the machine can only delay both; where
ranks share cores it is the median, of both. Each measurement waits until the processors are idle.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fujimi_core.tables import table
from fujimi_sim.validation_commands import write_section

RANKS = (1, 2, 4)
STEPS = 16
#: Steps that warm up: the first counts its arithmetic as well.
_WARM = 3
_TITLE = "Validation of a calibrated machine"
_IDLE, _LOOK_S, _IDLE_LOOKS = 0.9, 1.0, 3
_HEADER = ["job", "ranks", "predicted", "best step", "median step", "error"]

GPT = """\
name = "gpt"
[model]
name = "gpt"
width = 256
depth = 4
heads = 4
[data]
path = "{data}/tokens.u16"
family = "tokens"
sequence = 128
vocabulary = 2048
[train]
steps = {steps}
batch_per_rank = 8
out = "{out}"
[optimizer]
clip_norm = 1.0
[parallel]
precision = "float32"
"""
VIT = """\
name = "vit"
[model]
name = "vit_tiny"
patch = 16
channels = 1
[data]
path = "{data}/visualatom"
family = "visualatom"
classes = 32
instances = 64
pixels = 64
[train]
steps = {steps}
batch_per_rank = 64
out = "{out}"
[optimizer]
clip_norm = 1.0
[parallel]
precision = "float32"
bucket_bytes = "4 MiB"
"""


def fujimi(*words: object) -> str:
    command = [sys.executable, "-c", "from fujimi_core.cli import entry; entry()", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if done.returncode:
        raise SystemExit(f"fujimi {' '.join(map(str, words))}: {done.stderr[-3000:]}")
    sys.stderr.write("".join(f"  {line}\n" for line in done.stderr.splitlines()[-2:]))
    return done.stdout


def write_jobs(folder: Path) -> dict[str, Path]:
    """Both jobs and their data."""
    import numpy as np

    sizes = ["--classes", 32, "--instances", 64, "--pixels", 64]
    fujimi("data", "generate", "visualatom", *sizes, "--out", folder / "visualatom")
    tokens = np.random.default_rng(0).integers(0, 2048, 2**20, dtype="<u2")
    (folder / "tokens.u16").write_bytes(tokens.tobytes())
    jobs = {}
    for name, text in (("gpt", GPT), ("vit", VIT)):
        jobs[name] = folder / f"{name}.toml"
        jobs[name].write_text(text.format(data=folder, out=folder / "runs", steps=STEPS))
    return jobs


def wait_until_idle(patience_s: float) -> bool:
    """Wait until nothing else runs; says whether that came."""
    until, looks = time.monotonic() + patience_s, 0
    while time.monotonic() < until:
        looks = looks + 1 if _idle_share() > _IDLE else 0
        if looks == _IDLE_LOOKS:
            return True
    return False


def _idle_share() -> float:
    before = _ticks()
    time.sleep(_LOOK_S)
    passed = [now - then for now, then in zip(_ticks(), before, strict=True)]
    return passed[3] / sum(passed)


def _ticks() -> list[int]:
    """Time of all processors by what they do, idling fourth (proc(5), /proc/stat)."""
    return [int(word) for word in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]


def rows(folder: Path, ranks: int, jobs: dict[str, Path], patience_s: float) -> list[dict]:
    machine = folder / f"ranks{ranks}.toml"
    quiet = wait_until_idle(patience_s)
    fujimi("machine", "calibrate", "--ranks", ranks, "--out", machine)
    measured = {}
    for name, job in jobs.items():
        quiet = wait_until_idle(patience_s) and quiet
        run = f"{name}{ranks}"
        fujimi("train", job, "--ranks", ranks, "--set", f"name={run}")
        lines = (folder / "runs" / run / "log.jsonl").read_text().splitlines()
        measured[name] = [entry["step_s"] for entry in map(json.loads, lines) if "loss" in entry][_WARM:]
    found = []
    for name, steps in measured.items():
        report = json.loads(fujimi("simulate", jobs[name], "--machine", machine, "--nodes", 1, "--json"))
        row = {"job": name, "ranks": ranks, "predicted": report["points"][0]["step_s"], "steps": steps, "quiet": quiet}
        row["breakdown"] = report["points"][0]["breakdown"][:12]
        found.append(row)
    return found


def cells(row: dict) -> list[str]:
    best, middle = min(row["steps"]), statistics.median(row["steps"])
    times = [f"{1e3 * seconds:.1f} ms" for seconds in (row["predicted"], best, middle)]
    return [row["job"], str(row["ranks"]), *times, f"{error(row):+.1%}"]


def error(row: dict) -> float:
    """Predicted over measured, less 1."""
    shares_cores = row["ranks"] > len(os.sched_getaffinity(0))
    return row["predicted"] / (statistics.median if shares_cores else min)(row["steps"]) - 1


def page(found: list[dict], processor: str) -> str:
    errors = [abs(error(row)) for row in found]
    quiet = all(row["quiet"] for row in found)
    lines = [
        "Made by `python integration_tests/calibration.py --page docs/validation.md`, which says how; do not edit.",
        "",
        f"On {processor}, {os.cpu_count()} cores. Error: predicted over the best step, or over the median where ranks "
        f"share cores, less 1. Goal: within 10 %. Mean absolute error: {statistics.mean(errors):.1%}, largest "
        f"{max(errors):.1%}.",
    ]
    if not quiet:
        lines += ["", "Other programs were running meanwhile: times of both sides are less certain than they could be."]
    lines += ["", f"| {' | '.join(_HEADER)} |", f"|{' --- |' * len(_HEADER)}"]
    lines += [f"| {' | '.join(cells(row))} |" for row in found]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", metavar="FILE", type=Path, help="write a section of this page")
    parser.add_argument("--rows", metavar="FILE", type=Path, help="write all that was found, as JSON")
    parser.add_argument(
        "--patience", metavar="S", type=float, default=300.0, help="seconds to wait for idle processors"
    )
    arguments = parser.parse_args()
    from fujimi_train.device import processor

    found: list[dict] = []
    with tempfile.TemporaryDirectory() as made:
        jobs = write_jobs(Path(made))
        for ranks in RANKS:
            found += rows(Path(made), ranks, jobs, arguments.patience)
    sys.stdout.write(table(_HEADER, [cells(row) for row in found]) + "\n")
    if arguments.rows:
        arguments.rows.write_text(json.dumps(found, indent=1))
    if arguments.page:
        write_section(arguments.page, _TITLE, page(found, processor()))


if __name__ == "__main__":
    main()
