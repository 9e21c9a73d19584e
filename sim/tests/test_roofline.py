"""Time of an operator: memory or arithmetic, whichever takes longer."""

import math
from dataclasses import replace

import pytest
from fujimi_core.device import Device
from fujimi_core.errors import MachineError
from fujimi_core.machine import Machine
from fujimi_core.workload import Kernel
from fujimi_sim.roofline import gemm_efficiency, kernel_seconds, peak_flops_per_s, products

MM = Kernel(op="aten.mm", shapes=((200, 300), (300, 400)), dtype="float32", flops=2 * 200 * 300 * 400, nbytes=8)


@pytest.fixture
def device(machine: Machine) -> Device:
    """Half of 2 GB/s of memory, 0.8 of 1 TFLOP/s whatever the extent, no overhead."""
    return machine.node.device


def test_memory_bound_kernel_takes_bytes_over_bandwidth(device: Device) -> None:
    kernel = Kernel(op="aten.add", dtype="float32", flops=0, nbytes=3 * 10**9)
    assert kernel_seconds(kernel, device) == pytest.approx(3.0)


def test_compute_bound_kernel_takes_flops_over_peak(device: Device) -> None:
    assert kernel_seconds(MM, device) == pytest.approx(48e6 / 0.8e12)


def test_kernel_takes_the_longer_of_the_two(device: Device) -> None:
    assert kernel_seconds(replace(MM, nbytes=10**9), device) == pytest.approx(1.0)
    assert kernel_seconds(replace(MM, flops=8 * 10**12, nbytes=10**9), device) == pytest.approx(10.0)


def test_every_kernel_costs_the_overhead_even_one_that_does_nothing(device: Device) -> None:
    device = replace(device, kernel_overhead_s=1e-5)
    assert kernel_seconds(Kernel(op="aten.zero_", dtype="float32", flops=0, nbytes=0), device) == 1e-5
    assert kernel_seconds(MM, device) == pytest.approx(1e-5 + 48e6 / 0.8e12)


def test_product_whose_extent_is_the_half_extent_reaches_half_of_the_limit(device: Device) -> None:
    device = replace(device, gemm_half_extent=(200 * 300 * 400) ** (1 / 3))
    assert kernel_seconds(MM, device) == pytest.approx(48e6 / 0.4e12)


def test_efficiency_rises_from_nothing_to_its_limit() -> None:
    reached = [gemm_efficiency(extent, limit=0.9, half_extent=100) for extent in (1e-9, 1, 100, 1e4, 1e12)]
    assert reached == sorted(reached)
    assert reached[0] == pytest.approx(0, abs=1e-10)
    assert reached[2] == 0.45
    assert reached[-1] == pytest.approx(0.9)


BATCH, HEADS, QUERIES, EXTENT = 3, 12, 197, 64
QKV = ((BATCH, HEADS, QUERIES, EXTENT),) * 3
# as a capture writes them down: the first three tensors, which of the backward are the gradient, query and key
ATTENTION = "aten._scaled_dot_product_flash_attention_for_cpu"


@pytest.mark.parametrize(
    ("op", "shapes", "expected"),
    [
        ("aten.mm", ((2, 3), (3, 4)), 1),
        ("aten.addmm", ((4,), (2, 3), (3, 4)), 1),
        ("aten.bmm", ((7, 2, 3), (7, 3, 4)), 7),
        ("aten.baddbmm", ((2, 4), (7, 2, 3), (7, 3, 4)), 7),
        (ATTENTION, QKV, BATCH * HEADS * 2),
        (ATTENTION + "_backward", QKV, BATCH * HEADS * 5),
        ("aten._scaled_dot_product_flash_attention", QKV, BATCH * HEADS * 2),
        ("aten._scaled_dot_product_efficient_attention_backward", QKV, BATCH * HEADS * 5),
        ("aten.bmm", (), 1),
        ("aten.bmm", ((),), 1),
        ("aten.bmm", ((0, 2, 3), (0, 3, 4)), 1),
        (ATTENTION, (), 2),
        (ATTENTION, ((), ()), 2),
        ("acme.attention_of_another_layout", QKV, 1),
        ("", (), 1),
    ],
)
def test_products_inside_an_operator_are_counted(op: str, shapes: tuple[tuple[int, ...], ...], expected: int) -> None:
    assert products(Kernel(op=op, shapes=shapes, dtype="float32", flops=0, nbytes=0)) == expected


def test_batch_of_products_is_as_fast_as_one_of_them(device: Device) -> None:
    device = replace(device, gemm_half_extent=250)
    batch = replace(MM, op="aten.bmm", shapes=((7, 200, 300), (7, 300, 400)), flops=7 * MM.flops)
    assert kernel_seconds(batch, device) == pytest.approx(7 * kernel_seconds(MM, device))


def test_attention_is_as_fast_as_the_products_of_one_head(device: Device) -> None:
    device = replace(device, gemm_half_extent=250)
    flops = 2 * QUERIES * QUERIES * EXTENT
    one = Kernel(op="aten.mm", dtype="float32", flops=flops, nbytes=0)
    for op, count in ((ATTENTION, 2), (ATTENTION + "_backward", 5)):
        all_heads = Kernel(op=op, shapes=QKV, dtype="float32", flops=BATCH * HEADS * count * flops, nbytes=0)
        assert kernel_seconds(all_heads, device) == pytest.approx(BATCH * HEADS * count * kernel_seconds(one, device))


def test_vector_of_length_one_has_a_finite_time(device: Device) -> None:
    device = replace(device, gemm_half_extent=250)
    dot = Kernel(op="aten.mm", shapes=((1, 1), (1, 1)), dtype="float32", flops=2, nbytes=0)
    assert kernel_seconds(dot, device) == pytest.approx(2 / (1e12 * 0.8 / 251))
    assert math.isfinite(kernel_seconds(replace(dot, flops=1), device))


def test_type_without_a_peak_is_refused_with_the_way_out(device: Device) -> None:
    with pytest.raises(MachineError) as refused:
        kernel_seconds(replace(MM, dtype="bfloat16"), device)
    assert str(refused.value) == (
        "abacus has no peak for aten.mm: Unknown type: 'bfloat16'. Known: float32, float64. Did you mean 'float64'? "
        'Set parallel.precision of the job to one of these, or to "auto", and capture it again'
    )


def test_type_does_not_matter_where_there_is_no_arithmetic(device: Device) -> None:
    kernel = Kernel(op="aten.copy_", dtype="int64", flops=0, nbytes=10**9)
    assert kernel_seconds(kernel, device) == pytest.approx(1.0)
    assert peak_flops_per_s(MM, device) == 1e12
