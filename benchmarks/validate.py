"""Writes docs/validation.md: what the simulator says beside what others measured or computed.

Run: python benchmarks/validate.py
"""

import csv
from pathlib import Path

import numpy as np
from fujimi_core import job as jobs
from fujimi_core.machine import Device, Machine, Network, NetworkAxis, Node
from fujimi_core.mesh import Mesh
from fujimi_core.network import Phase
from fujimi_core.plugins import Plugins
from fujimi_core.units import format_quantity
from fujimi_core.workload import Collective, CollectiveKind
from fujimi_sim.network.timer import CommunicationTimer
from fujimi_sim.network.timing import phases_cost
from fujimi_sim.network.torus import Torus
from fujimi_sim.simulation import simulate_job

ROOT = Path(__file__).parents[1]
FLOWS = ROOT / "sim/tests/network/data/simgrid_torus_flows.csv"
ALL_REDUCE = ROOT / "benchmarks/data/fugaku_all_reduce.csv"
VIT_FLOPS_PER_S, VIT_NODES = 368.6e12, 1024

PAGE = """# Validation

Made by `python benchmarks/validate.py`; do not edit. Nothing was fitted to any row on this page.

What capture writes down is compared with real runs by tests, not here: collectives, bytes, matrix products and their
order are those of 2 and 4 real ranks (`packages/train/tests/test_capture.py`), and the peak of memory is that of
torch's own tracker, to the byte (`packages/parallel/tests/capture/test_memory.py`).

## Flows on tori, against SimGrid

All nodes send at once. SimGrid 3.32, flow level (CM02, no crosstraffic, SPLITDUPLEX). Goal: within 10 %.

{flows}

## All-reduce on Fugaku, against measurements

Measured: the fastest algorithm for each size, 1 rank a node, medians, HLC-Lab/pico results (Bine trees, SC25).
Simulated: the fastest algorithm that `fujimi-sim` has. The network carries half a gigabyte 4 % (8 nodes) and 29 % (64
nodes) too fast. Below that the simulation is too optimistic, down to a quarter of the measured time: the cost of a
step in software is taken from a ping-pong, without what a collective adds, and parts of a buffer are sent and added
up without any loss. 4 bytes run in the network's hardware on Fugaku, which is not modelled.

{all_reduce}

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
        flows=flow_table(),
        all_reduce=all_reduce_table(plugins),
        published=format_quantity(VIT_FLOPS_PER_S, "FLOP/s"),
        published_share=VIT_FLOPS_PER_S / peak,
        simulated=format_quantity(point.flops_per_s, "FLOP/s"),
        simulated_share=point.fraction_of_peak,
    )
    (ROOT / "docs/validation.md").write_text(page, encoding="utf-8")


def flow_table():
    rows = []
    for row in read(FLOWS):
        dims = [int(extent) for extent in row["dims"].split(",")]
        nbytes, measured = int(row["bytes"]), float(row["makespan_s"])
        machine = torus_machine(dims, float(row["link_bandwidth_Bps"]), float(row["link_latency_s"]))
        src = np.arange(np.prod(dims)).reshape(dims).ravel(order="F")
        phase = Phase(src=src, dst=src[partners(row["pattern"], len(src), int(row["seed"]))])
        seconds = phases_cost([phase], Torus.of(machine)).seconds(nbytes)
        rows.append([row["dims"], row["pattern"], f"{nbytes:,}", *compared(seconds, measured)])
    return markdown(["torus", "pattern", "bytes", "simulated", "SimGrid", "error"], rows)


def partners(pattern, count, seed):
    rank = np.arange(count)
    if pattern == "shift1":
        return (rank + 1) % count
    if pattern == "half":
        return (rank + count // 2) % count
    if pattern == "reverse":
        return count - 1 - rank
    if pattern == "xor":
        other = rank ^ (1 << (count.bit_length() // 2))
        return np.where(other < count, other, rank)
    return np.random.default_rng(seed).permutation(count)


def torus_machine(dims, bandwidth, latency):
    """A machine of nothing but links."""
    device = Device(
        name="none",
        memory_bytes=1,
        memory_bandwidth_bytes_per_s=1,
        memory_efficiency=1,
        peak_flops_per_s={"float32": 1},
        gemm_efficiency=1,
        gemm_half_extent=0,
        kernel_overhead_s=0,
    )
    wide = 100 * len(dims) * bandwidth
    node = Node(
        devices=1,
        device=device,
        interfaces=1,
        interface_bandwidth_bytes_per_s=wide,
        injection_bandwidth_bytes_per_s=wide,
    )
    axes = tuple(NetworkAxis(name=f"x{i}", extent=extent, wrap=True) for i, extent in enumerate(dims))
    network = Network(
        topology="torus",
        axes=axes,
        link_bandwidth_bytes_per_s=bandwidth,
        hop_latency_s=latency,
        message_latency_s=0,
    )
    return Machine(name="torus", title="torus", nodes=int(np.prod(dims)), node=node, network=network)


def all_reduce_table(plugins):
    rows = []
    fugaku = plugins.machine("fugaku")
    for row in read(ALL_REDUCE):
        nodes, nbytes = int(row["nodes"]), int(row["nbytes"])
        mesh = Mesh.of(dp=nodes)
        topology = plugins.topology(fugaku).allocate(nodes)
        placement = plugins.place_ranks(mesh, fugaku, topology, nodes)
        timer = CommunicationTimer(fugaku, topology, mesh=mesh, placement=placement, plugins=plugins)
        event = Collective(kind=CollectiveKind.ALL_REDUCE, nbytes=nbytes, axes=("dp",), dtype="float32")
        timing = timer.collective(event)
        measured = float(row["seconds"])
        rows.append(
            [row["nodes"], f"{nbytes:,}", *compared(timing.seconds, measured), timing.algorithm, row["algorithm"]]
        )
    header = ["nodes", "bytes", "simulated", "measured", "error", "algorithm here", "algorithm there"]
    return markdown(header, rows)


def compared(simulated, measured):
    error = simulated / measured - 1
    return [format_quantity(simulated, "s"), format_quantity(measured, "s"), f"{error:+.1%}"]


def markdown(header, rows):
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(line for line in file if not line.startswith("#")))


if __name__ == "__main__":
    main()
