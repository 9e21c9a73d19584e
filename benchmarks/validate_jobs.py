"""Writes docs/validation_jobs.md: whole jobs as the simulator sees them, beside what others published.

Run: python benchmarks/validate_jobs.py
"""

from pathlib import Path

from fujimi_core import job as jobs
from fujimi_core.plugins import Plugins
from fujimi_core.units import format_quantity
from fujimi_sim.simulation import simulate_job

ROOT = Path(__file__).parents[1]
VIT_FLOPS_PER_S, VIT_NODES = 368.6e12, 1024

PAGE = """# Validation of whole jobs

Made by `python benchmarks/validate_jobs.py`; do not edit. Nothing was fitted to any row on this page. The network has a
[page of its own](validation.md).

What capture writes down is compared with real runs by tests, not here: collectives, bytes, matrix products and their
order are those of 2 and 4 real ranks (`packages/train/tests/test_capture.py`), and the peak of memory is that of
torch's own tracker, to the byte (`packages/parallel/tests/capture/test_memory.py`).

## A vision transformer on 1,024 nodes of Fugaku

Published: {published} in all, {published_share:.1%} of the nodes' float32 peak (TSUBAME joint-use report, fiscal year
2022; data parallel; the size of the model is not given). Simulated, ViT-Base, 64 samples a rank: {simulated},
{simulated_share:.1%} of peak, more than ten times as much. The simulator lets every matrix product run as fast as
tuned BLAS libraries run it alone (BLIS and SSL2), and all else as fast as memory allows; the published run had what
PyTorch reached on that processor. So a step on Fugaku is that of a program whose kernels are all tuned: a limit, not
what stock libraries give.
"""


def main():
    plugins = Plugins.installed(strict=True)
    vit = jobs.load(ROOT / "examples/vit_base_visualatom.toml")
    point = simulate_job(vit, plugins.machine("fugaku"), [VIT_NODES], plugins=plugins).points[0]
    peak = VIT_NODES * plugins.machine("fugaku").node.device.peak_flops_per_s["float32"]
    page = PAGE.format(
        published=format_quantity(VIT_FLOPS_PER_S, "FLOP/s"),
        published_share=VIT_FLOPS_PER_S / peak,
        simulated=format_quantity(point.flops_per_s, "FLOP/s"),
        simulated_share=point.fraction_of_peak,
    )
    (ROOT / "docs/validation_jobs.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
