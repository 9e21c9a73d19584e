"""CPU seconds and memory of the vectorised network: python benchmarks/network_speed.py."""

import resource
import sys
import time
from collections.abc import Callable

import numpy as np
from fujimi_core.machine import Device, Machine, Network, NetworkAxis, Node
from fujimi_core.mesh import Mesh
from fujimi_core.network import CollectiveAlgorithm
from fujimi_core.plugins import Plugins
from fujimi_core.workload import Collective, CollectiveKind
from fujimi_sim import plugin
from fujimi_sim.network.collectives.bucket import Bucket
from fujimi_sim.network.collectives.multiport import MultiportBucket
from fujimi_sim.network.collectives.ring import Ring
from fujimi_sim.network.loads import load
from fujimi_sim.network.timer import CommunicationTimer
from fujimi_sim.network.timing import phases_cost
from fujimi_sim.network.torus import Torus

FUGAKU = {"x": 24, "y": 23, "z": 24, "a": 2, "b": 3, "c": 2}


def main() -> None:
    everything(Torus.of(machine_of(FUGAKU, wrap="xyzb")))
    flows(Torus.of(machine_of({"x": 8, "y": 8, "z": 8}, wrap="xyz")))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(f"{'peak memory':52} {peak / 2**20:8.0f} MiB")


def everything(torus: Torus) -> None:
    nodes = torus.machine.nodes
    everyone = np.arange(nodes)
    receivers = {
        "shift": (everyone + 1) % nodes,
        "half": (everyone + nodes // 2) % nodes,
        "random": np.random.default_rng(0).permutation(nodes),
    }
    for name, dst in receivers.items():
        measure(
            f"phase of 1 MB messages, {name}, {nodes:,} nodes",
            lambda dst=dst: load(torus, everyone, dst).busy_s_per_byte * 1e6,
        )
    for algorithm in (Ring(), Bucket(), MultiportBucket()):
        measure(
            f"all-reduce of 1 GB, {algorithm.name}, {nodes:,} nodes", lambda each=algorithm: all_reduce_s(each, torus)
        )
    measure(f"346 MB in 14 buckets, fastest, {nodes:,} nodes", lambda: buckets_s(torus))


def flows(torus: Torus) -> None:
    random = np.random.default_rng(0).permutation(512)
    measure("512 random flows of 64 KiB, 8x8x8", lambda: load(torus, np.arange(512), random).busy_s_per_byte * 65_536)


def all_reduce_s(algorithm: CollectiveAlgorithm, torus: Torus) -> float:
    phases = algorithm.phases(CollectiveKind.ALL_REDUCE, torus.nodes[None], topology=torus)
    return phases_cost(phases or [], torus).seconds(1e9)


def buckets_s(torus: Torus) -> float:
    plugins = Plugins(strict=True)
    plugins.register(plugin, "sim")
    mesh = Mesh.of(dp=torus.count)
    placement = plugins.place_ranks(mesh, torus.machine, torus, torus.count)
    timer = CommunicationTimer(torus.machine, torus, mesh=mesh, placement=placement, plugins=plugins)
    sizes = [346_000_000 // 14 + extra for extra in range(14)]
    return sum(
        timer.collective(
            Collective(kind=CollectiveKind.ALL_REDUCE, nbytes=nbytes, axes=("dp",), dtype="float32")
        ).seconds
        for nbytes in sizes
    )


def measure(what: str, simulate: Callable[[], float]) -> None:
    """Print the CPU time of the second call, which has the caches warm, and what was simulated."""
    simulate()
    began = time.process_time()
    simulated_s = simulate()
    print(f"{what:52} {time.process_time() - began:8.3f} CPU s   simulated {simulated_s:.6f} s")


def machine_of(extents: dict[str, int], *, wrap: str) -> Machine:
    """A machine with links as fast as Tofu-D's."""
    device = Device(
        name="device",
        memory_bytes=32e9,
        memory_bandwidth_bytes_per_s=1e12,
        memory_efficiency=0.8,
        peak_flops_per_s={"float32": 1e12},
        gemm_efficiency=1.0,
        gemm_half_extent=0,
        kernel_overhead_s=0.0,
    )
    return Machine(
        name="benchmark",
        title="a torus",
        nodes=int(np.prod(list(extents.values()))),
        node=Node(
            devices=1,
            device=device,
            interfaces=6,
            interface_bandwidth_bytes_per_s=6.8e9,
            injection_bandwidth_bytes_per_s=38.1e9,
        ),
        network=Network(
            topology="torus",
            axes=tuple(NetworkAxis(name=name, extent=extent, wrap=name in wrap) for name, extent in extents.items()),
            link_bandwidth_bytes_per_s=6.8e9,
            hop_latency_s=1e-7,
            message_latency_s=1e-6,
        ),
    )


if __name__ == "__main__":
    main()
