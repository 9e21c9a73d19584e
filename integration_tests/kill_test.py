"""Kills ranks of real runs at random moments, and looks at what is left: ``python integration_tests/kill_test.py``.

Runs of three kinds are killed (SIGKILL), each by several plans: those that ``mpiexec`` started, at a random moment; the
same, while a rank works at its part of a checkpoint or at the commit; and those of ``fujimi train --ranks N --restarts
K``. Of a fourth kind, a rank is stopped (SIGSTOP), and another must name it, once. The newest checkpoint must then open
and hold what its checksums say, and be no older than the last that was announced. The same command, or the restart,
must come to the same bits as a run that nobody disturbed.

Prints a line for each run, and exits with 1 if one of them failed.
"""

import argparse
import contextlib
import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from fujimi_core.job import from_table, to_toml
from fujimi_parallel.checkpoint import Checkpoint, Part, newest

RANK = Path(__file__).with_name("ending_ranks.py")
PROGRAMS = Path(sys.executable).parent
STEPS, BATCH = 8, 8
PLANS: tuple[tuple[int, dict[str, Any]], ...] = (
    (2, {"zero": 1}),
    (2, {"pipeline": 2}),
    (3, {"tensor": 3}),
    (4, {"pipeline": 2, "zero": 3}),
)
#: Operations on files of a checkpoint up to its commit, and those of the commit, are about so many.
OPERATIONS = 40
#: For how long a rank may be silent.
HANG_LIMIT_S = 10.0
_MARK = "KILL_TEST"
_TIMEOUT_S = 300.0
_HEADER = ("run", "started by", "ranks", "plan", "killed", "ended [s]", "kept", "result")
_WIDTHS = (4, 10, 6, 28, 40, 10, 5, 0)


@dataclass(kw_only=True)
class Outcome:
    """What became of a run.

    Args:
        killed: Which rank, and when; "too late" if the run was over by then.
        ended_s: From then until none of its processes was left.
        kept: Steps of the newest checkpoint then; None if it was not looked at.
        faults: What was wrong.
    """

    killed: str = "too late"
    ended_s: float = 0.0
    kept: int | None = None
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A run that is going to be killed.

    Args:
        number: Of the run.
        ranks: How many.
        parallel: Their plan.
        every: Steps between checkpoints.
        folder: For its files.
        expected: Last checkpoint of a run by this plan that nobody disturbed.
        draw: For all that is random.
    """

    number: int
    ranks: int
    parallel: Mapping[str, Any]
    every: int
    folder: Path
    expected: Path
    draw: random.Random

    @property
    def run(self) -> Path:
        """Directory of its checkpoints."""
        return self.folder / "run"


class Started:
    """A command with all its processes, which carry a mark in their environment."""

    def __init__(self, command: list[str], fault: Mapping[str, Any] | None = None) -> None:
        self._mark = secrets.token_hex(8)
        environ = {**os.environ, _MARK: self._mark, "OMP_NUM_THREADS": "1"}
        if fault:
            environ["FAULT"] = json.dumps(fault)
        self.process = subprocess.Popen(
            command, env=environ, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def ranks(self) -> dict[int, int]:
        """Processes of ranks, by rank."""
        return dict(sorted(self._ranks()))

    def _ranks(self) -> list[tuple[int, int]]:
        found, sign = [], f"{_MARK}={self._mark}".encode()
        for path in Path("/proc").glob("[0-9]*/environ"):
            with contextlib.suppress(OSError):  # ended meanwhile, or another user's
                words = path.read_bytes().split(b"\0")
                rank = [word for word in words if word.startswith(b"PMI_RANK=")]
                if sign in words and rank:
                    found.append((int(rank[0].removeprefix(b"PMI_RANK=")), int(path.parent.name)))
        return found

    def wait(self) -> tuple[int, str]:
        """Wait for the end; returns exit code and what was said."""
        try:
            _, said = self.process.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return -1, f"not done after {_TIMEOUT_S} s"
        return self.process.returncode, said


def make_job(folder: Path, data: Path, *, parallel: Mapping[str, Any], every: int) -> Path:
    """Write a job of 5.7 million parameters, whose checkpoints are of 66 MiB."""
    table = {
        "name": "run",
        "model": {"name": "vit_tiny", "patch": 16, "channels": 1, "drop_path": 0.1},
        "data": {"path": str(data), "family": "visualatom", "classes": 3, "instances": 20, "pixels": 32},
        "train": {
            "steps": STEPS,
            "global_batch": BATCH,
            "checkpoint_every": every,
            "hang_limit_s": HANG_LIMIT_S,
            "out": str(folder),
        },
        "parallel": {"precision": "float32", **parallel},
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "job.toml"
    path.write_text(to_toml(from_table(table)))
    return path


def make_data(folder: Path) -> Path:
    """Draw the pictures."""
    sizes = ["--classes", "3", "--instances", "20", "--pixels", "32", "--samples-per-shard", "20"]
    command = [str(PROGRAMS / "fujimi"), "data", "generate", "visualatom", *sizes, "--out", str(folder / "data")]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "data"


def by_mpiexec(case: Case, job: Path) -> list[str]:
    """Command that starts the ranks."""
    return [str(PROGRAMS / "mpiexec"), "-n", str(case.ranks), sys.executable, str(RANK), "train", str(job)]


def supervised(case: Case, job: Path) -> list[str]:
    """Command that starts the ranks, and starts them again."""
    return [str(PROGRAMS / "fujimi"), "train", str(job), "--ranks", str(case.ranks), "--restarts", "2"]


def killed_by_hand(case: Case, job: Path) -> Outcome:
    """Kill at a random moment what mpiexec started."""
    started, outcome = Started(by_mpiexec(case, job)), Outcome()
    _kill_one(case, started, outcome)
    started.wait()
    _look(case, outcome)
    _require_end(case, Started(by_mpiexec(case, job)), outcome)
    return outcome


def killed_while_writing(case: Case, job: Path) -> Outcome:
    """Let a rank be killed at some operation on files of a checkpoint, or a little later."""
    rank = case.draw.choice([0, 0, *range(1, case.ranks)])  # rank 0 commits
    most = OPERATIONS if rank == 0 else OPERATIONS // 5
    fault = {
        "rank": rank,
        "operation": case.draw.randint(1, most),
        "delay_s": case.draw.choice([0, case.draw.uniform(0, 0.1)]),
        "signal": "SIGKILL",
        "once": str(case.folder / "killed"),
    }
    started = Started(by_mpiexec(case, job), fault)
    started.wait()
    over = time.time()
    outcome = Outcome()
    if (once := Path(fault["once"])).exists():
        outcome.killed = f"rank {rank}, file operation {fault['operation']} + {1000 * fault['delay_s']:.0f} ms"
        outcome.ended_s = over - once.stat().st_mtime - fault["delay_s"]
    _look(case, outcome)
    _require_end(case, Started(by_mpiexec(case, job)), outcome)
    return outcome


def killed_and_restarted(case: Case, job: Path) -> Outcome:
    """Kill at a random moment what starts again by itself."""
    started, outcome = Started(supervised(case, job)), Outcome()
    _kill_one(case, started, outcome)
    said = _require_end(case, started, outcome)
    found = [line for line in said.splitlines() if "restart 1 of 2" in line]
    if outcome.killed != "too late" and len(found) != 1:
        outcome.faults.append(f"says nothing of a restart: {said!r}")
    elif found:
        words = found[0].split("goes on after step ")
        outcome.kept = int(words[1]) if len(words) > 1 else 0
    return outcome


def _kill_one(case: Case, started: Started, outcome: Outcome) -> None:
    """Kill one rank: while it starts, or a little after a step."""
    after = case.draw.choice([0, *range(1, STEPS - 2)])
    later_s = case.draw.uniform(0, 0.5 if after else 5.0)
    while not _has_come_to(case, started, after) and started.process.poll() is None:
        time.sleep(0.005)
    time.sleep(later_s)
    ranks, victim = started.ranks(), case.draw.randrange(case.ranks)
    if victim not in ranks:
        return
    os.kill(ranks[victim], signal.SIGKILL)
    start = time.monotonic()
    outcome.killed = f"rank {victim}, {later_s:.2f} s after {f'step {after}' if after else 'it started'}"
    while set(ranks.values()) & set(started.ranks().values()):
        time.sleep(0.01)
    outcome.ended_s = time.monotonic() - start


def _has_come_to(case: Case, started: Started, step: int) -> bool:
    """Whether a step is done; with 0, whether all ranks are there."""
    return _logged(case.run, "loss") >= step if step else len(started.ranks()) == case.ranks


def _logged(run: Path, what: str) -> int:
    """Last step whose loss or checkpoint was announced; 0 if none was."""
    log = run / "log.jsonl"
    if not log.exists():
        return 0
    steps = [0]
    for line in log.read_text().splitlines():
        with contextlib.suppress(ValueError):  # cut off
            entry = json.loads(line)
            if what in entry:
                steps.append(entry["step"])
    return max(steps)


def _look(case: Case, outcome: Outcome) -> None:
    """Require that the newest checkpoint is whole, and none that was announced is lost."""
    try:
        path = newest(case.run)
        outcome.kept = Checkpoint(path).step if path else 0
        if path:
            tensors(path)
    except Exception as wrong:
        outcome.faults.append(f"the newest checkpoint is bad: {wrong}")
        return
    if outcome.kept < _logged(case.run, "checkpoint"):
        outcome.faults.append(f"checkpoint {_logged(case.run, 'checkpoint')} was announced, and is lost")


def _require_end(case: Case, started: Started, outcome: Outcome) -> str:
    """Require that a command comes to the end, with the bits that are expected; returns what it said."""
    code, said = started.wait()
    if code:
        outcome.faults.append(f"exit code {code}: {said.strip()}")
        return said
    path = newest(case.run)
    if path is None or not same_bits(tensors(path), tensors(case.expected)):
        outcome.faults.append("it came to other bits than the run that nobody disturbed")
    if left := list(case.run.glob("*.partial")):
        outcome.faults.append(f"left behind: {[path.name for path in left]}")
    return said


def tensors(path: Path) -> dict[str, torch.Tensor]:
    """All that a checkpoint holds, whole and compared with its checksums."""
    checkpoint = Checkpoint(path)
    return {name: checkpoint.read(Part.of(name, checkpoint.shape(name))) for name in checkpoint.names()}


def same_bits(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    """Whether two checkpoints hold the same."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def stopped(case: Case, job: Path) -> Outcome:
    """Stop a rank for ever."""
    rank, step = case.draw.randrange(case.ranks), case.draw.randrange(1, STEPS)
    once = case.folder / "stopped"
    started = Started(by_mpiexec(case, job), {"rank": rank, "batch": step, "signal": "SIGSTOP", "once": str(once)})
    _, said = started.wait()
    outcome = Outcome(killed=f"rank {rank}, after step {step}", ended_s=time.time() - once.stat().st_mtime)
    told = [line for line in said.splitlines() if line.startswith("fujimi: error: ")]
    if len(told) != 1 or not told[0].startswith(f"fujimi: error: rank {rank} "):
        outcome.faults.append(f"no single message that names rank {rank}: {told}")
    _look(case, outcome)
    _require_end(case, Started(by_mpiexec(case, job)), outcome)
    return outcome


KINDS = {
    "mpiexec": killed_by_hand,
    "mpiexec*": killed_while_writing,
    "--restarts": killed_and_restarted,
    "SIGSTOP": stopped,
}


def undisturbed(folder: Path, data: Path) -> list[Path]:
    """Last checkpoint of a run by each plan."""
    found = []
    for number, (ranks, parallel) in enumerate(PLANS):
        job = make_job(folder / f"whole-{number}", data, parallel=parallel, every=0)
        command = [str(PROGRAMS / "mpiexec"), "-n", str(ranks), str(PROGRAMS / "fujimi"), "train", str(job)]
        code, said = Started(command).wait()
        path = newest(job.parent / "run")
        if code or path is None:
            raise SystemExit(f"a run that nobody disturbed failed: {said}")
        found.append(path)
    return found


def main() -> int:
    """Kill one run after the other; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    failed = 0
    times: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = make_data(folder)
        expected = undisturbed(folder, data)
        _say(_row(*_HEADER))
        for number in range(arguments.runs):
            kind = list(KINDS)[number % len(KINDS)]
            case = _case(number, folder, expected, seed=arguments.seed)
            outcome = KINDS[kind](case, make_job(case.folder, data, parallel=case.parallel, every=case.every))
            _say(_told(case, kind, outcome))
            failed += bool(outcome.faults)
            if outcome.killed != "too late":
                times[kind].append(outcome.ended_s)
            shutil.rmtree(case.folder)
    _say(f"{arguments.runs} runs, {failed} failed; from the signal until all ranks had ended:")
    for kind, found in times.items():
        if found:
            median_s = sorted(found)[len(found) // 2]
            _say(f"  {kind}, {len(found)} times: {median_s:.2f} s (median), {max(found):.2f} s at most")
    _say(f"mpiexec*: killed at its checkpoint's files; SIGSTOP: with train.hang_limit_s = {HANG_LIMIT_S:g}")
    return 1 if failed else 0


def _case(number: int, folder: Path, expected: Sequence[Path], *, seed: int) -> Case:
    """Kinds, plans and intervals in turn, so that all meet."""
    which = number // len(KINDS) % len(PLANS)
    ranks, parallel = PLANS[which]
    return Case(
        number=number,
        ranks=ranks,
        parallel=parallel,
        every=1 + number // len(KINDS) // len(PLANS) % 2,
        folder=folder / str(number),
        expected=expected[which],
        draw=random.Random(f"{seed} {number}"),
    )


def _told(case: Case, kind: str, outcome: Outcome) -> str:
    plan = " ".join(f"{key}={value}" for key, value in case.parallel.items()) + f" every={case.every}"
    result = "; ".join(outcome.faults) or "same bits"
    kept = "-" if outcome.kept is None else str(outcome.kept)
    return _row(str(case.number), kind, str(case.ranks), plan, outcome.killed, f"{outcome.ended_s:.2f}", kept, result)


def _row(*cells: str) -> str:
    return " ".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
