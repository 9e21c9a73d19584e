"""Machines written as files, and read again."""

from dataclasses import replace

import pytest
from fujimi_core.device import Tiles
from fujimi_core.machine import Machine, NetworkAxis, Regime, Transport
from fujimi_core.machine_file import load
from fujimi_core.machine_text import machine_toml


@pytest.fixture
def machine(machine: Machine) -> Machine:
    device = replace(
        machine.node.device,
        name='abacus of "8" beads',
        memory_bytes=2.0**30,
        memory_bandwidth_bytes_per_s=1.5e9,
        gemm_half_extent=100.0,
        tiles=Tiles(units=2, edges=(4, 8), depth=1.5),
    )
    network = replace(
        machine.network,
        topology="torus",
        axes=(NetworkAxis(name="x", extent=8, wrap=True),),
        transports={"of.mpi": Transport(regimes=(Regime(latency_s=1e-6, up_to_bytes=1e3), Regime(latency_s=2e-6)))},
    )
    keys = ["nodes", "node", "network.link_bandwidth_bytes_per_s", "network.hop_latency_s", "network.axes"]
    keys += ["network.message_latency_s", "network.transports"]
    sources = {key: f"manual, on {key}" for key in keys}
    node = replace(machine.node, device=device)
    return replace(machine, title="2 racks: µ", node=node, network=network, sources=sources)


def test_a_written_machine_is_read_as_it_was(machine, tmp_path):
    path = tmp_path / "toy.toml"
    path.write_text(machine_toml(machine), encoding="utf-8")
    again = load(path)
    assert replace(again, sources={}) == replace(machine, sources={})
    assert again.sources["node.device.peak_flops_per_s.float32"] == "manual, on node"
    assert again.sources["network.axes[0].extent"] == "manual, on network.axes"


def test_a_machine_that_was_read_is_written_with_all_sources(machine, tmp_path):
    first, second = tmp_path / "first.toml", tmp_path / "second.toml"
    first.write_text(machine_toml(machine), encoding="utf-8")
    second.write_text(machine_toml(load(first)), encoding="utf-8")
    assert load(second) == load(first)
