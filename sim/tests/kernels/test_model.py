"""Time of an operator: memory or arithmetic, whichever takes longer."""

import math
from dataclasses import replace

import pytest
from fujimi_core.device import Device
from fujimi_core.errors import MachineError
from fujimi_core.machine import Machine
from fujimi_core.workload import Kernel, Trait
from fujimi_sim.kernels.model import kernel_seconds, peak_flops_per_s

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
    large = replace(MM, shapes=((2000, 10**6), (10**6, 2000)), flops=8 * 10**12, nbytes=10**9)
    assert kernel_seconds(large, device) == pytest.approx(10.0)


def test_every_kernel_costs_the_overhead_even_one_that_does_nothing(device: Device) -> None:
    device = replace(device, kernel_overhead_s=1e-5)
    assert kernel_seconds(Kernel(op="aten.zero_", dtype="float32", flops=0, nbytes=0), device) == 1e-5
    assert kernel_seconds(MM, device) == pytest.approx(1e-5 + 48e6 / 0.8e12)


def test_what_is_offloaded_goes_over_its_own_way(device: Device) -> None:
    device = replace(device, outside_bandwidth_bytes_per_s=10e6)
    kernel = Kernel(op="aten.copy_", dtype="float32", flops=0, nbytes=10**9, outside_bytes=10**8)
    assert kernel_seconds(kernel, device) == pytest.approx(10.0)
    assert kernel_seconds(replace(kernel, outside_bytes=10**6), device) == pytest.approx(1.0)


def test_device_from_which_nothing_can_be_offloaded_says_so(device: Device) -> None:
    kernel = Kernel(op="aten.copy_", dtype="float32", flops=0, nbytes=10**9, outside_bytes=10**8)
    with pytest.raises(MachineError, match=r'aten.copy_ cannot reach offloaded tensors: set parallel.offload = "none"'):
        kernel_seconds(kernel, device)


def test_product_whose_extent_is_the_half_extent_reaches_half_of_the_limit(device: Device) -> None:
    device = replace(device, gemm_half_extent=(200 * 300 * 400) ** (1 / 3))
    assert kernel_seconds(MM, device) == pytest.approx(48e6 / 0.4e12)


BATCH, HEADS, QUERIES, EXTENT = 3, 12, 197, 64
QKV = ((BATCH, HEADS, QUERIES, EXTENT),) * 3
# as a capture writes them down: the first three tensors, which of the backward are the gradient, query and key
ATTENTION = "aten._scaled_dot_product_flash_attention_for_cpu"


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


def test_odd_rows_slow_down_types_of_two_bytes_only(device: Device) -> None:
    device = replace(
        device, unaligned_efficiency=0.25, peak_flops_per_s={"float32": 1e12, "bfloat16": 1e12, "float16": 1e12}
    )
    for dtype, factor in (("float32", 1), ("bfloat16", 4), ("float16", 4)):
        odd = replace(MM, dtype=dtype, traits=(Trait.UNALIGNED,))
        assert kernel_seconds(odd, device) == pytest.approx(factor * 48e6 / 0.8e12)
