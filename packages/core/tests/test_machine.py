"""Machines: totals, and descriptions that do not hold together."""

import re
from dataclasses import replace

import pytest
from fujimi_core.errors import MachineError
from fujimi_core.machine import Machine, NetworkAxis, Noise


def test_ranks_are_one_a_device(machine: Machine) -> None:
    node = replace(machine.node, devices=4, peer_bandwidth_bytes_per_s=1e10)
    assert machine.ranks == 8
    assert replace(machine, node=node).ranks == 32


@pytest.mark.parametrize("nodes", [1, 8])
def test_any_number_of_nodes_that_the_machine_has_can_be_used(machine: Machine, nodes: int) -> None:
    machine.require_nodes(nodes)


@pytest.mark.parametrize("nodes", [-1, 0, 9, 158_976])
def test_nodes_that_the_machine_does_not_have_are_refused_with_the_limit(machine: Machine, nodes: int) -> None:
    with pytest.raises(MachineError) as refused:
        machine.require_nodes(nodes)
    assert str(refused.value) == f"machine 'toy' has 8 nodes; {nodes:,} cannot be used: ask for 1 to 8"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"memory_bytes": 0}, "memory_bytes is 0; it must be above 0"),
        ({"memory_efficiency": 1.1}, "memory_efficiency is 1.1; it must be from 0 to 1"),
        ({"gemm_efficiency": 0}, "gemm_efficiency is 0; it must be above 0"),
        ({"gemm_half_extent": -1}, "gemm_half_extent is -1; at least 0 is needed"),
        ({"kernel_overhead_s": -1e-6}, "kernel_overhead_s is -1e-06; at least 0 is needed"),
        ({"peak_flops_per_s": {}}, "device 'abacus': peak_flops_per_s needs a positive number for at least one dtype"),
        ({"peak_flops_per_s": {"float32": 0}}, "device 'abacus': peak_flops_per_s needs a positive number"),
    ],
)
def test_device_that_cannot_be_is_refused(machine: Machine, changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(machine.node.device, **changes)


def test_node_of_several_devices_needs_the_speed_between_them(machine: Machine) -> None:
    with pytest.raises(ValueError, match="a node of several devices needs peer_bandwidth_bytes_per_s"):
        replace(machine.node, devices=2)


def test_network_noise_and_nodes_have_bounds(machine: Machine) -> None:
    with pytest.raises(ValueError, match="link_bandwidth_bytes_per_s is 0"):
        replace(machine.network, link_bandwidth_bytes_per_s=0)
    with pytest.raises(ValueError, match="hop_latency_s is -1"):
        replace(machine.network, hop_latency_s=-1)
    with pytest.raises(ValueError, match="extent is 0"):
        NetworkAxis(name="x", extent=0, wrap=True)
    with pytest.raises(ValueError, match="compute_std is -1"):
        Noise(compute_std=-1)
    with pytest.raises(ValueError, match="nodes is 0"):
        replace(machine, nodes=0)
