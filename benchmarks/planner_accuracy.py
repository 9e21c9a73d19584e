"""How near the planner's estimates come to simulations: a sample of all plans of a small GPT.

python benchmarks/planner_accuracy.py --machine fugaku --nodes 48 --plans 30
"""

import argparse
import random

import numpy as np
from fujimi_core.job import Recompute, from_table
from fujimi_core.plugins import Plugins
from fujimi_sim.planner.bounds import bounds_of
from fujimi_sim.planner.estimate import Setting, memory_bytes, step_s
from fujimi_sim.planner.parts import Book
from fujimi_sim.planner.pieces import Captures
from fujimi_sim.planner.shares import Table
from fujimi_sim.planner.space import Size, job_of, placements
from fujimi_sim.planner.traffic import Network
from fujimi_sim.simulation import draw_slowness, remembered, simulate

JOB = from_table(
    {
        "name": "sampled",
        "model": {"name": "gpt", "width": 512, "depth": 8, "heads": 8},
        "data": {"family": "tokens", "sequence": 512, "vocabulary": 8192},
        "train": {"steps": 1, "global_batch": 96},
        "parallel": {"precision": "float32"},
    }
)


def setting_of(machine, plugins, ranks):
    """Pieces of the network on the machine's device."""
    device = machine.node.device
    captures = Captures(JOB, plugins=plugins, kernel_seconds=remembered(plugins, device))
    depth = captures.depth(1)
    return captures, Setting(
        table=Table(Book(captures, device), depth=depth),
        depth=depth,
        spec=JOB.parallel,
        device=device,
        slowest=float(draw_slowness(ranks, std=machine.noise.compute_std, seed=0).max()),
    )


def rank_correlation(first, second):
    """Spearman's."""
    ranks = [np.argsort(np.argsort(values)) for values in (first, second)]
    return float(np.corrcoef(*ranks)[0, 1])


def main():
    """Print a line for each plan, and what they come to."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--machine", default="fugaku")
    parser.add_argument("--nodes", type=int, default=48)
    parser.add_argument("--plans", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    plugins = Plugins.installed()
    machine = plugins.machine(arguments.machine)
    devices = machine.node.devices
    ranks = arguments.nodes * devices
    captures, setting = setting_of(machine, plugins, ranks)
    size = Size(ranks=ranks, devices=devices, depth=setting.depth, sequence=1, fewer=False, offloads=True)
    bounds = bounds_of(JOB, size, setting, captures, cost=lambda _, seconds: seconds)
    chance = random.Random(arguments.seed)
    rows = []
    for _, candidate, batch in chance.sample(bounds.fitting, arguments.plans):
        layout, rhythm, thrift = candidate
        order = chance.choice(placements(layout))
        network = Network(layout, order, machine=machine, dtype="float32", plugins=plugins)
        estimated_s = step_s(candidate, setting, network, batch=batch)
        workload = plugins.capture(job_of(JOB, candidate, order), layout.ranks)
        point = simulate(workload, machine, layout.ranks // devices, plugins=plugins)
        ratio = memory_bytes(candidate, setting, batch=batch) / point.memory_bytes_per_rank
        again = thrift.recompute.value if isinstance(thrift.recompute, Recompute) else "half"
        print(
            f"{estimated_s:8.4f} s of {point.step_s:8.4f} s {estimated_s / point.step_s - 1:+7.1%}, "
            f"memory {ratio - 1:+7.1%}: dp {layout.data} tp {layout.tensor} pp {layout.pipeline} "
            f"{rhythm.schedule.value} x {rhythm.virtual_stages}, {batch // rhythm.microbatch} x {rhythm.microbatch}, "
            f"zero {thrift.zero}, {again}, offload {thrift.offload.value}, {' '.join(order)}",
            flush=True,
        )
        rows.append((estimated_s, point.step_s, ratio))
    estimated, simulated, ratios = np.array(rows).T
    errors = estimated / simulated - 1
    print(
        f"{len(rows)} plans: rank correlation {rank_correlation(estimated, simulated):.3f}; time: median "
        f"{np.median(np.abs(errors)):.1%}, mean {np.mean(np.abs(errors)):.1%}, {errors.min():+.1%} to "
        f"{errors.max():+.1%}; memory: median {np.median(np.abs(ratios - 1)):.1%}, "
        f"{ratios.min() - 1:+.1%} to {ratios.max() - 1:+.1%}"
    )


if __name__ == "__main__":
    main()
