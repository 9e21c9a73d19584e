"""Parameters of a device, from times that a known law gives."""

import math
from dataclasses import replace

import pytest
from fujimi_core.errors import RunError
from fujimi_core.workload import Kernel, Trait
from fujimi_train.calibration.fitting import (
    Timed,
    fit_attention,
    fit_elements,
    fit_memory,
    fit_messages,
    fit_products,
)


def product(m, k, n):
    return Kernel(op="aten.mm", shapes=((m, k), (k, n)), dtype="float32", flops=2 * m * k * n, nbytes=1)


def test_peak_and_half_extent_are_those_of_the_law():
    peak, half = 3e12, 80.0
    kernels = [product(*shape) for shape in ((8, 8, 8), (64, 64, 64), (512, 64, 256), (1024, 1024, 1024))]
    seconds = [each.flops / peak * (1 + half / math.cbrt(each.flops / 2)) for each in kernels]
    found = fit_products([Timed(kernel=k, seconds=s) for k, s in zip(kernels, seconds, strict=True)])
    assert found.peak_flops_per_s == pytest.approx(peak)
    assert found.half_extent == pytest.approx(half)


def test_products_that_get_slower_with_size_have_their_best_constant_speed():
    kernels = [product(64, 64, 64), product(128, 128, 128)]
    speeds = [2e12, 1e12]
    timed = [Timed(kernel=k, seconds=k.flops / s) for k, s in zip(kernels, speeds, strict=True)]
    # least squares of s / speed - 1 for two speeds: the sum of their squares over their sum
    assert fit_products(timed).peak_flops_per_s == pytest.approx(5e24 / 3e12)
    assert fit_products(timed).half_extent == 0


def test_products_of_any_size_in_the_same_time_are_told_to_be_noise():
    timed = [Timed(kernel=product(m, m, m), seconds=1.0) for m in (16, 64, 256, 1024)]
    with pytest.raises(RunError, match="other programs are running"):
        fit_products(timed)


def attention(tokens, *, causal, backward, width=64):
    op = "aten._scaled_dot_product_flash_attention_for_cpu" + ("_backward" if backward else "")
    traits = (Trait.CAUSAL,) if causal else ()
    return Kernel(op=op, shapes=((2, 4, tokens, width),) * 3, dtype="float32", flops=1, nbytes=1, traits=traits)


@pytest.mark.parametrize(("block", "causal"), [(16, False), (64, True)])
def test_attention_is_that_of_the_law_with_its_block(block, causal):
    peak, memory, forward, backward = 1e12, 1e10, 0.5, 0.25
    timed = []
    for tokens in (17, 64, 100, 256):
        for width in (32, 64):
            for is_backward in (False, True):
                kernel = attention(tokens, causal=causal, backward=is_backward, width=width)
                blocks = math.ceil(tokens / block)
                scores = 8 * blocks * (blocks + 1) * block**2  # of 2 x 4 heads, and a block more of each row's
                if is_backward:
                    # five products, 22 B of each number on the way
                    seconds = scores * 5 * 2 * width / (peak * backward)
                    seconds += 22 * 8 * tokens * width / memory
                else:
                    seconds = scores * 2 * 2 * width / (peak * forward)
                timed.append(Timed(kernel=kernel, seconds=seconds))
    found = fit_attention(timed, peak_flops_per_s=peak, memory_bytes_per_s=memory, blocks=(8, 16, 32, 64))
    assert found.block == block
    assert found.forward_efficiency == pytest.approx(forward)
    assert found.backward_efficiency == pytest.approx(backward)


def test_cache_ends_where_the_speed_falls():
    sizes = [2**power for power in range(16, 26)]
    seconds = [nbytes / (5e10 if nbytes <= 2**21 else 1e10) for nbytes in sizes]
    bandwidth, cache = fit_memory(sizes, seconds)
    assert bandwidth == pytest.approx(1e10)
    assert (cache.cache_bytes, cache.bandwidth_bytes_per_s) == (2**21, pytest.approx(5e10))


def test_memory_of_one_speed_has_no_cache():
    sizes = [2**power for power in range(16, 26)]
    bandwidth, cache = fit_memory(sizes, [nbytes / 1e10 for nbytes in sizes])
    assert bandwidth == pytest.approx(1e10)
    assert cache is None or cache.bandwidth_bytes_per_s == pytest.approx(1e10)


def test_time_of_an_element_is_averaged_and_longer_names_come_first():
    def kernel(op):
        return Kernel(op=op, shapes=((10, 100), (100,)), dtype="float32", flops=0, nbytes=1)

    timed = [Timed(kernel=kernel("aten.gelu"), seconds=seconds) for seconds in (1e-6, 3e-6)]
    timed.append(Timed(kernel=kernel("aten.gelu_backward"), seconds=5e-6))
    timed.append(Timed(kernel=replace(kernel("aten.gelu"), traits=(Trait.TANH,)), seconds=8e-6))
    found = fit_elements(timed)
    expected = {"gelu_backward": 5.0, "gelu.tanh": 8.0, "gelu": 2.0}
    assert list(found) == list(expected)
    assert found == pytest.approx(expected)


def test_messages_lie_on_a_line():
    sizes = [2**power for power in range(4, 24, 3)]
    latency, per_byte = fit_messages(sizes, [2e-6 + nbytes / 5e9 for nbytes in sizes])
    assert latency == pytest.approx(2e-6)
    assert per_byte == pytest.approx(1 / 5e9)
