"""Flows on tori beside those that SimGrid simulates."""

import csv
from collections.abc import Mapping
from importlib.resources import files

import numpy as np
from fujimi_core.device import Device
from fujimi_core.machine import Machine, Network, NetworkAxis, Node
from fujimi_core.network import Endpoints, Phase
from fujimi_core.units import format_quantity

from fujimi_sim.network.report import markdown
from fujimi_sim.network.timing import phases_cost
from fujimi_sim.network.torus import Torus

#: SimGrid 3.32, flow level (CM02, equal shares, no crosstraffic, SPLITDUPLEX links): every node of a torus sends one
#: message at once; rank = x + X (y + Y (z + ...)), dimension-order routes, first dimension first, wrap in each.
FLOWS = files("fujimi_sim.network") / "data" / "simgrid_torus_flows.csv"

Row = Mapping[str, str]


def rows() -> list[Row]:
    """What SimGrid was asked, and its answers."""
    return list(csv.DictReader(FLOWS.read_text(encoding="utf-8").splitlines()))


def seconds(row: Row) -> float:
    """Time of the same flows here."""
    extents = [int(extent) for extent in row["dims"].split(",")]
    machine = links_only(
        extents,
        bandwidth_bytes_per_s=float(row["link_bandwidth_Bps"]),
        hop_latency_s=float(row["link_latency_s"]),
    )
    # Our first axis varies slowest; SimGrid's first dimension varies fastest. Both route it first.
    nodes = np.arange(machine.nodes).reshape(extents).ravel(order="F")
    phase = Phase(src=nodes, dst=nodes[receivers(row["pattern"], machine.nodes, seed=int(row["seed"]))])
    return phases_cost([phase], Torus.of(machine)).seconds(float(row["bytes"]))


def receivers(pattern: str, ranks: int, *, seed: int) -> Endpoints:
    """Rank to which each rank sends.

    Raises:
        KeyError: If there is no such pattern.
    """
    senders = np.arange(ranks)
    flipped = senders ^ (1 << (ranks.bit_length() // 2))
    return {
        "shift1": (senders + 1) % ranks,
        "half": (senders + ranks // 2) % ranks,
        "reverse": ranks - 1 - senders,
        "xor": np.where(flipped < ranks, flipped, senders),
        "random": np.random.default_rng(seed).permutation(ranks),
    }[pattern]


def links_only(extents: list[int], *, bandwidth_bytes_per_s: float, hop_latency_s: float) -> Machine:
    """A torus that nothing but its links limits."""
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
    wide = 100 * len(extents) * bandwidth_bytes_per_s
    node = Node(
        devices=1,
        device=device,
        interfaces=1,
        interface_bandwidth_bytes_per_s=wide,
        injection_bandwidth_bytes_per_s=wide,
    )
    network = Network(
        topology="torus",
        axes=tuple(NetworkAxis(name=f"x{axis}", extent=extent, wrap=True) for axis, extent in enumerate(extents)),
        link_bandwidth_bytes_per_s=bandwidth_bytes_per_s,
        hop_latency_s=hop_latency_s,
        message_latency_s=0.0,
    )
    return Machine(name="links", title="links", nodes=int(np.prod(extents)), node=node, network=network)


def table() -> str:
    """Markdown with all rows."""
    lines = []
    for row in rows():
        here, there = seconds(row), float(row["makespan_s"])
        shown = [format_quantity(here, "s"), format_quantity(there, "s"), f"{here / there - 1:+.1%}"]
        lines.append([row["dims"], row["pattern"], f"{int(row['bytes']):,}", *shown])
    return markdown(["torus", "pattern", "bytes", "here", "SimGrid", "error"], lines)
