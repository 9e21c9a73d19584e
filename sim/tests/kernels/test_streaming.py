"""Time of operators that move bytes."""

from dataclasses import replace

import pytest
from fujimi_core.device import Cache, Device
from fujimi_core.machine import Machine
from fujimi_core.workload import Kernel, Trait
from fujimi_sim.kernels.streaming import streaming_s


@pytest.fixture
def device(machine: Machine) -> Device:
    """Half of 2 GB/s; a quarter for rows."""
    return replace(machine.node.device, row_efficiency=0.25)


def kernel(op: str, nbytes: int, **fields: object) -> Kernel:
    return Kernel(op=op, dtype="float32", flops=0, nbytes=nbytes, **fields)  # type: ignore[arg-type]


def test_bytes_go_through_memory(device: Device) -> None:
    assert streaming_s(kernel("aten.add", 10**9), device) == pytest.approx(1.0)


@pytest.mark.parametrize("op", ["aten.native_layer_norm", "aten._softmax", "aten._log_softmax", "aten.sum"])
def test_operators_on_rows_have_a_rate_of_their_own(op: str, device: Device) -> None:
    assert streaming_s(kernel(op, 10**9), device) == pytest.approx(2.0)
    assert streaming_s(kernel(op, 10**9), replace(device, row_efficiency=None)) == pytest.approx(1.0)


def test_so_do_those_that_change_the_order_of_elements(device: Device) -> None:
    assert streaming_s(kernel("aten.clone", 10**9, traits=(Trait.STRIDED,)), device) == pytest.approx(2.0)


def test_gradient_of_a_norm_goes_over_two_of_three_tensors_again(device: Device) -> None:
    assert streaming_s(kernel("aten.native_layer_norm_backward", 3 * 10**9), device) == pytest.approx(10.0)


def test_what_fits_into_the_cache_is_there(device: Device) -> None:
    device = replace(device, cache=Cache(cache_bytes=1e6, bandwidth_bytes_per_s=1e10))
    assert streaming_s(kernel("aten.add", 10**6), device) == pytest.approx(1e-4)
    assert streaming_s(kernel("aten.add", 10**6 + 1), device) == pytest.approx(1e-3, rel=1e-5)
    assert streaming_s(kernel("aten._softmax", 10**6), device) == pytest.approx(2e-3)


def test_operator_that_is_not_vectorised_needs_its_instructions(device: Device) -> None:
    device = replace(device, instructions={"softmax": 35.5}, instructions_per_s=1e9)
    softmax = kernel("aten._softmax", 8 * 10**6, shapes=((1000, 1000),))
    assert streaming_s(softmax, device) == pytest.approx(35.5e-3)
    assert streaming_s(kernel("aten.add", 8 * 10**6, shapes=((1000, 1000),)), device) == pytest.approx(8e-3)


def test_activation_by_a_tangent_may_need_instructions_of_its_own(device: Device) -> None:
    tangent = kernel("aten.gelu", 8, shapes=((1000, 1000),), traits=(Trait.TANH,))
    both = replace(device, instructions={"gelu.tanh": 4.0, "gelu": 1.0}, instructions_per_s=1e9)
    assert streaming_s(tangent, both) == pytest.approx(4e-3)
    assert streaming_s(replace(tangent, traits=()), both) == pytest.approx(1e-3)
    assert streaming_s(tangent, replace(both, instructions={"gelu": 1.0})) == pytest.approx(1e-3)
