"""Plans of one GPU: memory as the allocator has it beside what was captured, and losses beside those of the plain plan.

    python integration_tests/gpu_check.py --measure gpu.json                  # where the GPU is
    python integration_tests/gpu_check.py --page docs/gpu.md gpu.json         # anywhere: captures, and writes the page

GPT-2 small (163 M parameters with an output layer of its own), 1,024 tokens, trained for a few steps on random tokens
from the same start, with deterministic algorithms. *Measured* is `torch.cuda.max_memory_allocated` of the last step,
less what was there before.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path

PLANS: dict[str, dict[str, object]] = {
    "float32": {"precision": "float32"},
    "float32, recompute full": {"precision": "float32", "recompute": "full"},
    "float32, offload all": {"precision": "float32", "offload": "all"},
    "bfloat16": {},
    "bfloat16, recompute selective": {"recompute": "selective"},
    "bfloat16, recompute full": {"recompute": "full"},
    "bfloat16, recompute blocks 0 to 5": {"recompute": [0, 1, 2, 3, 4, 5]},
    "bfloat16, offload optimizer": {"offload": "optimizer"},
    "bfloat16, offload activations": {"offload": "activations"},
    "bfloat16, offload all, recompute full": {"offload": "all", "recompute": "full"},
    "bfloat16, 4 microbatches of 2": {"microbatch": 2},
    "bfloat16, accumulate 4": {"accumulate": 4},
}
MODEL, SEQUENCE, VOCABULARY, BATCH, STEPS = "gpt2_small", 1024, 50_257, 8, 6


def job_of(plan: dict[str, object]):
    from fujimi_core.job import from_table

    return from_table(
        {
            "name": "gpu",
            "model": {"name": MODEL},
            "data": {"family": "tokens", "sequence": SEQUENCE, "vocabulary": VOCABULARY},
            "train": {"steps": STEPS, "batch_per_rank": BATCH},
            "optimizer": {"warmup_steps": 0},
            "parallel": {"precision": "bfloat16", **plan},
        }
    )


def model():
    from fujimi_train.plugin import fujimi_models

    return next(each for each in fujimi_models() if each.name == MODEL)


def measure(plan: dict[str, object]) -> dict[str, object]:
    """Train on the GPU for a few steps."""
    import gc

    import torch
    from fujimi_parallel.world import join
    from fujimi_train.program import Program

    device = torch.device("cuda", 0)
    gc.collect()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    draw = torch.Generator().manual_seed(0)
    samples = torch.randint(VOCABULARY, (BATCH, SEQUENCE), generator=draw)
    losses: list[float] = []
    with join() as world:
        program = Program(job_of(plan), model(), world, device=device)
        for number in range(STEPS):
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()
            start = time.perf_counter()
            losses.append(program.step(number, samples, samples.roll(-1, 1)).item())
            step_s = time.perf_counter() - start
        outside = program.network.outside
        return {
            "peak": torch.cuda.max_memory_allocated() - before,
            "between_steps": torch.cuda.memory_allocated() - before,
            "moved": outside.moved_bytes // STEPS if outside else 0,
            "losses": losses,
            "step_s": step_s,
        }


def measure_all() -> dict[str, object]:
    import torch

    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # which deterministic products ask for
    torch.use_deterministic_algorithms(True)
    rows = {}
    for name, plan in PLANS.items():
        rows[name] = measure(plan)
        sys.stdout.write(f"{name}: {rows[name]}\n")
    return {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "rows": rows}


def captured(plan: dict[str, object]) -> dict[str, int]:
    from fujimi_train.capture import capture

    memory = capture(job_of(plan), model(), ranks=1).roles[0].memory
    kept = memory.parameter_bytes + memory.gradient_bytes + memory.optimizer_bytes
    return {"peak": memory.peak_bytes, "between_steps": kept}


def page(found: dict) -> str:
    mib = 2**20
    lines = [
        "# Plans on a GPU",
        "",
        f"Made by `python integration_tests/gpu_check.py` (which says how) on one {found['device']}, torch "
        f"{found['torch']}: {MODEL}, {BATCH} samples of {SEQUENCE:,} tokens a step, {STEPS} steps, deterministic. "
        "*Captured* was computed on a CPU, without running. *Losses* is the largest difference from those of the plain "
        "plan of the same precision, over the first loss; microbatches sum gradients in another order, which steps "
        "as large as these make much of.",
        "",
        "| plan | kept between steps, MiB | captured | peak measured, MiB | captured | captured / measured | losses "
        "| moved a step, MiB | a step, ms |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, row in found["rows"].items():
        plain = found["rows"][name.partition(",")[0]]["losses"]
        told = captured(PLANS[name])
        apart = max(abs(a - b) for a, b in zip(row["losses"], plain, strict=True)) / plain[0]
        cells = [
            name,
            f"{row['between_steps'] / mib:.0f}",
            f"{told['between_steps'] / mib:.0f}",
            f"{row['peak'] / mib:.0f}",
            f"{told['peak'] / mib:.0f}",
            f"{told['peak'] / row['peak']:.3f}",
            f"{apart:.1e}" if apart else "the same",
            f"{row['moved'] / mib:.0f}" if row["moved"] else "",
            f"{row['step_s'] * 1e3:.0f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", nargs="?", type=Path, help="what --measure wrote")
    parser.add_argument("--measure", type=Path, metavar="OUT")
    parser.add_argument("--page", type=Path)
    arguments = parser.parse_args()
    if arguments.measure:
        arguments.measure.write_text(json.dumps(measure_all()), encoding="utf-8")
    if arguments.measured:
        text = page(json.loads(arguments.measured.read_text(encoding="utf-8")))
        sys.stdout.write(text)
        if arguments.page:
            arguments.page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
