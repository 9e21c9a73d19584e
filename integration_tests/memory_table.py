"""Memory of a rank: measured on 1 to 8 ranks, captured up to all of Fugaku. Writes docs/memory.md.

    python integration_tests/memory_table.py --page docs/memory.md

What is measured is the process's own: the growth of its anonymous memory (`RssAnon`) from before the network is built
to the highest of the third step, every rank on one thread; a tiny network went before it, so that libraries have what
they take once. Capture knows nothing of it. Beside it stand the bytes of parameters, gradients and optimizer state as
the rank's own tensors have them.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

PLANS: dict[str, dict[str, object]] = {
    "zero 0": {},
    "zero 1": {"zero": 1},
    "zero 2": {"zero": 2},
    "zero 3": {"zero": 3},
    "zero 3, recompute selective": {"zero": 3, "recompute": "selective"},
    "zero 3, recompute full": {"zero": 3, "recompute": "full"},
    "zero 3, offload activations": {"zero": 3, "offload": "activations"},
    "offload optimizer": {"offload": "optimizer"},
    "zero 3, recompute full, offload all": {"zero": 3, "recompute": "full", "offload": "all"},
    "tensor 2, zero 3": {"tensor": 2, "zero": 3},
    "pipeline 2, zero 3": {"pipeline": 2, "zero": 3, "microbatch": 1},
    "pipeline 2, zero-bubble": {"pipeline": 2, "schedule": "zero-bubble", "microbatch": 1},
    "sequence 2, zero 3": {"sequence": 2, "zero": 3},
}
RANKS = (1, 2, 4, 8)
FAR = (64, 4_096, 158_976)
_WIDTH, _DEPTH, _HEADS, _SEQUENCE, _VOCABULARY, _BATCH = 512, 8, 8, 256, 4_096, 4
_SMALL_DEPTH = 4
#: Freed memory goes back to the system at once, so that what is resident is what is in use.
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536", "MALLOC_TOP_PAD_": "0"}


def job_of(plan: dict[str, object]):
    from fujimi_core.job import from_table

    return from_table(
        {
            "name": "memory",
            "model": {"name": "gpt"},
            "data": {"family": "tokens", "sequence": _SEQUENCE, "vocabulary": _VOCABULARY},
            "train": {"steps": 3, "batch_per_rank": _BATCH},
            "parallel": {"precision": "float32", **plan},
        }
    )


def model(depth: int = _DEPTH, width: int = _WIDTH):
    from fujimi_core.offers import Model
    from fujimi_train.gpt import Gpt, GptShape
    from fujimi_train.plugin import fujimi_models

    shape = GptShape(width=width, depth=depth, heads=_HEADS)
    sharding = next(each.sharding for each in fujimi_models() if each.name == "gpt2_small")
    return Model(
        name="gpt",
        summary="for this table",
        build=lambda _: Gpt(shape, sequence=_SEQUENCE, vocabulary=_VOCABULARY),
        sharding=sharding,
    )


def fits(plan: dict[str, object], ranks: int) -> bool:
    others = int(plan.get("tensor", 1)) * int(plan.get("pipeline", 1)) * int(plan.get("sequence", 1))
    return ranks % others == 0


def measure(plan: dict[str, object]) -> None:
    """One rank of a real run: writes down what it measured."""
    import torch
    from fujimi_parallel.world import join
    from fujimi_train.program import Program

    torch.set_num_threads(1)
    with join() as world:
        steps(Program(job_of(plan), model(depth=_SMALL_DEPTH, width=16), world, device=torch.device("cpu")), 2)
        before = anonymous_bytes()
        program = Program(job_of(plan), model(), world, device=torch.device("cpu"))
        steps(program, 2)
        with Highest() as highest:
            steps(program, 1)
        tensors = [tensor for table in program.optimizer.state.values() for tensor in table.values()]
        offloaded = program.job.parallel.offload.value in ("optimizer", "all")
        found = {
            "at": {axis: program.axes.at(axis) for axis in ("pp", "sp")},
            "peak": highest.nbytes - before,
            "parameters": program.network.data.parameter_bytes,
            "gradients": program.network.data.gradient_bytes,
            "optimizer": 0 if offloaded else sum(tensor.nbytes for tensor in tensors),
        }
        if world.size > 1:
            torch.distributed.barrier()
        Path(sys.argv[3], f"{world.rank}.json").write_text(json.dumps(found))


def steps(program, number: int) -> None:
    import torch

    samples = torch.randint(0, _VOCABULARY, (program.plan.batch, _SEQUENCE))
    for each in range(number):
        program.step(
            each, samples if program.network.has_first else None, samples if program.network.has_last else None
        )


class Highest:
    """The most anonymous memory that this process has while it lasts, looked at all the time."""

    def __enter__(self):
        self.nbytes, self._over = 0, threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._over.set()
        self._thread.join()

    def _look(self):
        while not self._over.wait(0.0005):
            self.nbytes = max(self.nbytes, anonymous_bytes())


def anonymous_bytes() -> int:
    """Resident memory that is no file's: not programs, not what ranks share, not what was offloaded."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise LookupError("RssAnon")


def captured(plan: dict[str, object], ranks: int) -> list[dict[str, object]]:
    from fujimi_train.capture import capture

    workload = capture(job_of(plan), model(), ranks=ranks)
    return [
        {
            "where": dict(role.where),
            "peak": role.memory.peak_bytes,
            "parameters": role.memory.parameter_bytes,
            "gradients": role.memory.gradient_bytes,
            "optimizer": role.memory.optimizer_bytes,
        }
        for role in workload.roles
    ]


def run(plan: dict[str, object], ranks: int) -> list[dict[str, object]]:
    with tempfile.TemporaryDirectory() as out:
        mpiexec = shutil.which("mpiexec", path=str(Path(sys.executable).parent))
        start = [mpiexec, "-n", str(ranks)] if ranks > 1 else []
        command = [*start, sys.executable, __file__, "--measure", json.dumps(plan), out]
        environ = {**os.environ, **_MALLOC, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            raise SystemExit(f"{plan} on {ranks} ranks: {done.stderr[-3000:]}")
        return [json.loads(Path(out, f"{rank}.json").read_text()) for rank in range(ranks)]


def rows(quick: bool, only: str) -> list[dict[str, object]]:
    found = []
    total = _whole_bytes()
    for name, plan in PLANS.items():
        if only not in name:
            continue
        for ranks in (2,) if quick else RANKS:
            if not fits(plan, ranks):
                continue
            told = captured(plan, ranks)
            for here in run(plan, ranks)[:: max(1, ranks // 2)]:
                role = next(each for each in told if _is_at(each, here))
                found.append({"plan": name, "ranks": ranks, "total": total, "measured": here, "captured": role})
        if "zero 3" in name and not quick:
            for ranks in FAR:
                if fits(plan, ranks):
                    found.append({"plan": name, "ranks": ranks, "total": total, "captured": captured(plan, ranks)[0]})
    return found


def _is_at(role: dict, here: dict) -> bool:
    return all(start <= here["at"][axis] < stop for axis, (start, stop) in role["where"].items())


def _whole_bytes() -> int:
    """Parameters, gradients and two moments of the whole network."""
    import torch

    with torch.device("meta"):
        return 16 * sum(parameter.numel() for parameter in model().build(None).parameters())


def page(found: list[dict]) -> str:
    mib = 2**20
    lines = [
        "# Memory of a rank",
        "",
        "Made by `python integration_tests/memory_table.py --page docs/memory.md`: a GPT of "
        f"{_whole_bytes() / 16 / 1e6:.1f} M parameters ({_DEPTH} blocks, width {_WIDTH}), {_BATCH} samples of "
        f"{_SEQUENCE} tokens a data-parallel rank, float32, AdamW.",
        "",
        "*State* is parameters, gradients and optimizer state between two steps, *of total* its share of the whole "
        "network's times the ranks that share it. *Peak* is everything at once: *measured* by the operating system, "
        "*captured* without running.",
        "",
        "| plan | ranks | state, MiB | of total | captured | peak measured, MiB | captured | captured / measured |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in found:
        told, here = row["captured"], row.get("measured")
        state = sum(told[key] for key in ("parameters", "gradients", "optimizer"))
        own = sum(here[key] for key in ("parameters", "gradients", "optimizer")) if here else None
        share = f"{(own or state) / (row['total'] / row['ranks']):.3f}" if "zero 3" in row["plan"] else ""
        cells = [
            row["plan"],
            f"{row['ranks']:,}",
            f"{own / mib:.2f}" if own is not None else "",
            share,
            f"{state / mib:.3g}",
            f"{here['peak'] / mib:.0f}" if here else "",
            f"{told['peak'] / mib:.0f}",
            f"{told['peak'] / here['peak']:.3f}" if here else "",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] == "--measure":
        measure(json.loads(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--quick", action="store_true", help="on 2 ranks only")
    parser.add_argument("--only", help="plans whose name holds this")
    arguments = parser.parse_args()
    text = page(rows(arguments.quick, arguments.only or ""))
    sys.stdout.write(text)
    if arguments.page:
        arguments.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
