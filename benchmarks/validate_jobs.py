"""Writes docs/validation_jobs.md: a vision transformer on Fugaku, and what could make it as slow as the published one.

Run: python benchmarks/validate_jobs.py
"""

from dataclasses import replace
from pathlib import Path

from fujimi_core import job as jobs
from fujimi_core.plugins import Plugins
from fujimi_core.units import format_quantity
from fujimi_sim.simulation import simulate

ROOT = Path(__file__).parents[1]
FLOPS_PER_S, NODES = 368.6e12, 1024

#: Of the bytes that operators read and write, about so many go to memory that was not there before.
NEW = 1 / 3
#: Rate at which one thread touches memory for the first time: fugaku.toml, network.transports.mpi.fresh_bytes_per_s.
FRESH_BYTES_PER_S = 2.38e9


def fresh(bandwidth_bytes_per_s, efficiency):
    """Peak bandwidth with which operators take as long as if what they write were touched for the first time."""
    return 1 / (1 / bandwidth_bytes_per_s + efficiency * NEW / FRESH_BYTES_PER_S)


SMALL = {"train.batch_per_rank": 8, "model.attention": "unfused"}
#: What is different, in the job and in the device.
CASES = [
    ("ViT-Base, 64 samples a node", {}, {}),
    ("8 samples a node, attention in products and softmax", SMALL, {}),
    ("the same with 1 sample a node", SMALL | {"train.batch_per_rank": 1}, {}),
    ("the same with 8, ViT-Tiny", SMALL | {"model.name": "vit_tiny"}, {}),
    (
        "ViT-Base, 8, products by ArmPL 20.1 (35 to 57 % on 48 cores)",
        SMALL,
        {"gemm_efficiency": 0.60, "gemm_half_extent": 500},
    ),
    (
        "the same, products by Eigen 3.3.9 (5 %, measured on one core)",
        SMALL,
        {"gemm_efficiency": 0.05, "gemm_half_extent": 0},
    ),
    ("the same, 100 us to start an operator instead of 15", SMALL, {"kernel_overhead_s": 100e-6}),
    ("the same, all memory in one of four groups (256 GB/s)", SMALL, {"memory_bandwidth_bytes_per_s": 256e9}),
    (
        "the same, results (a third of all bytes) in new memory, touched at 2.4 GB/s by one thread",
        SMALL,
        {"memory_bandwidth_bytes_per_s": fresh(1024e9, 0.8)},
    ),
]

PAGE = """# A vision transformer on 1,024 nodes of Fugaku

Made by `python benchmarks/validate_jobs.py`; do not edit. Published training runs that say which network and batch
they had are in [validation.md](validation.md).

Published: {published} in all, {published_share:.1%} of the nodes' float32 peak (TSUBAME joint-use report, fiscal year
2022; data parallel, the global batch held by accumulation; neither the size of the network nor the batch is given).
Simulated:

| what | TFLOP/s | of peak |
|---|---|---|
{rows}

Two of these come near, and no others: matrix products without a tuned library, and memory that is new for each
result. For both there is a measurement, but of something else: Eigen's products are in the graphs of BLIS (one core
of A64FX), beside libraries that reach up to 92 %; the rate of new memory is fitted to MPI's temporary buffers, which
one thread fills, whereas 48 fill a tensor, and an allocator may keep memory (Fugaku-LLM preloads one). The report
itself names products of shapes that are not large and square, and Python's calls; small batches and slow calls
explain a factor of 1.3 to 4 here, not 10. So nothing of it is in the machine file: a step on Fugaku is that of a
program whose products are BLIS's or SSL2's and whose memory is reused: a limit, not what the libraries of 2022 gave.
"""


def main():
    plugins = Plugins.installed(strict=True)
    fugaku = plugins.machine("fugaku")
    peak = NODES * fugaku.node.device.peak_flops_per_s["float32"]
    rows = []
    for what, changes, device in CASES:
        settings = {"parallel.precision": "float32"} | changes
        path = ROOT / "examples/vit_base_visualatom.toml"
        job = jobs.load(path, [f"{key}={value}" for key, value in settings.items()])
        machine = replace(fugaku, node=replace(fugaku.node, device=replace(fugaku.node.device, **device)))
        point = simulate(plugins.capture(job, NODES), machine, NODES, plugins=plugins)
        rows.append(f"| {what} | {point.flops_per_s / 1e12:,.0f} | {point.flops_per_s / peak:.1%} |")
    page = PAGE.format(
        published=format_quantity(FLOPS_PER_S, "FLOP/s"), published_share=FLOPS_PER_S / peak, rows="\n".join(rows)
    )
    (ROOT / "docs/validation_jobs.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
