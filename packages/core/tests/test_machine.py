"""Machines: totals, and descriptions that do not hold together."""

import re
from dataclasses import replace
from typing import Any

import pytest
from fujimi_core.errors import MachineError
from fujimi_core.machine import Groups, Levels, Machine, NetworkAxis, Noise, Regime, Transport


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
    with pytest.raises(ValueError, match="slow_share is 2"):
        Noise(slow_share=2)
    with pytest.raises(ValueError, match=r"slow_factor is 0\.9"):
        Noise(slow_factor=0.9)
    with pytest.raises(ValueError, match="nodes is 0"):
        replace(machine, nodes=0)


def test_levels_have_room_for_the_product_of_what_is_below_their_switches() -> None:
    assert Levels(down=(32, 18, 4), up=(16, 100)).nodes == 32 * 18 * 4


def test_taper_is_width_from_below_over_width_up() -> None:
    assert Levels(down=(32, 18, 4), up=(16, 144)).taper == (32 / 16, 18 * 16 / 144)
    assert Levels(down=(32,)).taper == ()


@pytest.mark.parametrize(("down", "up"), [((), ()), ((4, 4), ()), ((4,), (4,)), ((4, 0), (1,)), ((4, 4), (0,))])
def test_levels_that_do_not_hold_together_are_refused(down: tuple[int, ...], up: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=re.escape(f"levels.down is {down} and levels.up {up}")):
        Levels(down=down, up=up)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"switches": 0}, "switches is 0"),
        ({"links": 0}, "links is 0"),
        ({"local_links": -1}, "local_links is -1"),
        ({"global_bandwidth_bytes_per_s": 0.0}, "global_bandwidth_bytes_per_s is 0"),
        ({"routing": "adaptive"}, "groups.routing is 'adaptive'; it must be minimal or valiant"),
    ],
)
def test_groups_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Groups(**{"switches": 4, "nodes": 2, **changes})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dead_nodes": (-1,)}, "they begin with 0"),
        ({"dead_links": ((0, -1),)}, "they begin with 0"),
        ({"dead_nodes": (3, 3)}, "dead_nodes has some node twice"),
        ({"dead_links": ((3, 3),)}, "the link (3, 3) from a node to itself"),
    ],
)
def test_dead_parts_that_cannot_be_are_refused(machine: Machine, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(machine.network, **changes)


def regimes(*bounds: float | None) -> tuple[Regime, ...]:
    return tuple(Regime(latency_s=float(index), up_to_bytes=bound) for index, bound in enumerate(bounds))


def test_a_message_is_sent_by_the_first_regime_that_takes_it() -> None:
    transport = Transport(regimes=regimes(16, 1000, None))
    assert [transport.regime(nbytes, 1).latency_s for nbytes in (0, 16, 17, 1000, 1001)] == [0, 0, 1, 1, 2]


def test_a_regime_can_take_longer_messages_over_more_links() -> None:
    eager = Regime(latency_s=0.0, up_to_bytes=45_056, up_to_bytes_per_hop=296)  # Fujitsu MPI
    transport = Transport(regimes=(eager, Regime(latency_s=1.0)))
    assert [transport.regime(45_352, hops).latency_s for hops in (0, 1, 2)] == [1, 0, 0]


@pytest.mark.parametrize("bounds", [(), (16,), (None, 16), (1000, 16, None), (16, 16, None), (None, None)])
def test_regimes_ascend_and_end_without_a_bound(bounds: tuple[float | None, ...]) -> None:
    with pytest.raises(ValueError, match="regimes end at"):
        Transport(regimes=regimes(*bounds))


@pytest.mark.parametrize("wrong", [{"latency_s": -1.0}, {"up_to_bytes": 0.0}, {"copy_bytes_per_s": 0.0}])
def test_regimes_have_bounds(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Regime(**({"latency_s": 0.0} | wrong))


def test_a_transport_that_is_not_described_is_mpi_and_that_costs_a_latency(machine: Machine) -> None:
    plain = machine.network
    assert plain.transport("rdma").regime(10**9, 3).latency_s == plain.message_latency_s
    mpi, rdma = Transport(regimes=regimes(None), call_s=1.0), Transport(regimes=regimes(None), call_s=2.0)
    described = replace(plain, transports={"mpi": mpi, "rdma": rdma})
    assert (described.transport("rdma"), described.transport("put")) == (rdma, mpi)
