"""What the network costs to simulate: CPU seconds and peak memory.

Run: python benchmarks/network_speed.py [--plot docs/network_cost.png]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
from fujimi_core.mesh import Mesh
from fujimi_core.plugins import Plugins
from fujimi_core.workload import Collective, CollectiveKind, Kernel, Role, Workload
from fujimi_sim.network.flows import links_only
from fujimi_sim.network.loads import load
from fujimi_sim.network.timing import phases_cost
from fujimi_sim.network.torus import Torus
from fujimi_sim.simulation import simulate_workload

RUNS = 5
GIGABYTE = 10**9
NODES = (64, 384, 1_536, 6_912, 27_648, 158_976)
SIZES = (8, 10**3, 10**5, 10**7, 10**9)
ALGORITHMS = ("trinary_x3/65536", "ring", "bucket", "multiport_bucket", "recursive_doubling", "rabenseifner")
# ASTRA-sim 2.0, analytical backend: one jitter-free all-reduce over 158,976 nodes folded to 4 dimensions.
ASTRA_SIM_CPU_S, ASTRA_SIM_BYTES = 225.0, 7.8e9


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--plot", type=Path, help="draw CPU seconds over nodes and over bytes")
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(jittered_all_reduce()))
        return
    plugins = Plugins.installed(strict=True)
    fugaku = plugins.machine("fugaku")
    flows(plugins, fugaku)
    whole_process()
    all_reduces(plugins, fugaku)
    if arguments.plot:
        plot(plugins, fugaku, arguments.plot)


def flows(plugins, fugaku):
    """Flows that are all sent at once."""
    torus = Torus.of(links_only([8, 8, 8], bandwidth_bytes_per_s=6.8e9, hop_latency_s=1e-7))
    random = np.random.default_rng(0)
    some = np.arange(512), random.permutation(512)
    report("512 random flows on 8x8x8 (SimGrid: 0.1 s)", lambda: load(torus, *some))
    whole = plugins.topology(fugaku)
    everyone = np.arange(fugaku.nodes)
    patterns = {
        "to the next": (everyone + 1) % fugaku.nodes,
        "half-way round": (everyone + fugaku.nodes // 2) % fugaku.nodes,
        "random": random.permutation(fugaku.nodes),
    }
    for name, dst in patterns.items():
        report(f"158,976 flows on Tofu-D, {name}", lambda dst=dst: load(whole, everyone, dst))


def whole_process():
    """One all-reduce of 1 GB by all nodes of Fugaku whose compute time differs, in a process of its own."""
    seconds, peaks = [], []
    for _ in range(RUNS):
        process = subprocess.Popen([sys.executable, __file__, "--one"], stdout=subprocess.PIPE)
        answer = json.loads(process.stdout.read())
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit("the simulation failed")
        seconds.append(answer["cpu_s"])
        peaks.append(usage.ru_maxrss * 1024)
        whole = usage.ru_utime + usage.ru_stime
    median, peak = statistics.median(seconds), max(peaks)
    print(f"all-reduce of 1 GB, 158,976 nodes, jitter: {median:.2f} CPU s ({min(seconds):.2f} to {max(seconds):.2f}),")
    print(f"  {whole:.2f} CPU s with Python and imports, {peak / 2**20:.0f} MiB: step {answer['step_s'] * 1e3:.1f} ms;")
    print(f"  ASTRA-sim / this: {ASTRA_SIM_CPU_S / median:.0f} x the time, {ASTRA_SIM_BYTES / peak:.0f} x the memory")


def jittered_all_reduce():
    """CPU seconds from the machine to the report."""
    plugins = Plugins.installed(strict=True)
    fugaku = plugins.machine("fugaku")
    before = time.process_time()
    mesh = Mesh.of(dp=fugaku.nodes)
    events = (
        Kernel(op="compute", dtype="float32", flops=10**12, nbytes=0),
        Collective(kind=CollectiveKind.ALL_REDUCE, nbytes=GIGABYTE, axes=("dp",), dtype="float32"),
    )
    role = Role(name="rank", events=events)
    workload = Workload(job="all-reduce", mesh=mesh, samples_per_step=fugaku.nodes, roles=(role,))
    report = simulate_workload(workload, fugaku, fugaku.nodes, plugins=plugins)
    return {"cpu_s": time.process_time() - before, "step_s": report.points[0].step_s}


def all_reduces(plugins, fugaku):
    """All-reduces of 1 GB over all nodes, from the algorithm to its time."""
    whole = plugins.topology(fugaku).allocate(fugaku.nodes)
    for name in ALGORITHMS:
        report(f"all-reduce of 1 GB, 158,976 nodes, {name}", lambda name=name: seconds_of(name, whole, plugins))


def seconds_of(name, part, plugins, nbytes=GIGABYTE):
    algorithm = plugins.collectives()[name]
    phases = algorithm.phases(CollectiveKind.ALL_REDUCE, part.nodes[None], topology=part)
    return phases_cost(phases, part, transport=algorithm.transport).seconds(nbytes)


def cpu_s(what):
    """Median CPU seconds."""
    found = []
    for _ in range(RUNS):
        began = time.process_time()
        what()
        found.append(time.process_time() - began)
    return statistics.median(found)


def report(name, what):
    what()
    print(f"{name:66} {cpu_s(what):8.4f} CPU s")


def plot(plugins, fugaku, path):
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, (over_nodes, over_bytes) = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    whole = plugins.topology(fugaku)
    for name in ALGORITHMS:
        parts = [whole.allocate(nodes) for nodes in NODES]
        costs = [cpu_s(partial(seconds_of, name, part, plugins)) for part in parts]
        over_nodes.loglog(NODES, costs, "o-", label=name)
        costs = [cpu_s(partial(seconds_of, name, parts[-1], plugins, nbytes)) for nbytes in SIZES]
        over_bytes.loglog(SIZES, costs, "o-", label=name)
    linear = [2e-6 * nodes for nodes in NODES]
    over_nodes.loglog(NODES, linear, "k:", label="2 µs a node")
    over_nodes.set(xlabel="nodes of Fugaku, 1 GB", ylabel="CPU seconds of an all-reduce")
    over_bytes.set(xlabel="bytes, 158,976 nodes")
    for axes in (over_nodes, over_bytes):
        axes.grid(visible=True, alpha=0.3)
    over_nodes.legend(fontsize="small")
    figure.savefig(path, dpi=120)
    print(f"plot: {path}")


if __name__ == "__main__":
    main()
