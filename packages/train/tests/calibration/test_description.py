"""Machines made of measurements, and written as files."""

from dataclasses import replace

import pytest
from fujimi_core.machine_file import load
from fujimi_core.machine_text import machine_toml
from fujimi_core.workload import Kernel
from fujimi_train.calibration.description import Here, Measured, describe
from fujimi_train.calibration.disk import Disk
from fujimi_train.calibration.fitting import Timed

HERE = Here(name="mine", processor="Abacus", ranks=4, threads=2, memory_bytes=2**34, backend="mpi", when="2026-01-02")


def kernel(op, *shapes, flops=0, nbytes=0):
    return Kernel(op=f"aten.{op}", shapes=shapes, dtype="float32", flops=flops, nbytes=nbytes)


def kernel_seconds(kernel, device):
    return device.kernel_overhead_s + kernel.flops / device.peak_flops_per_s["float32"]


@pytest.fixture
def measured():
    """Of a machine of 1 TFLOP/s, a cache of 100 GB/s and 1 MB, memory of 20 GB/s."""
    products = [kernel("mm", (m, m), (m, m), flops=2 * m**3) for m in (64, 256, 1024)]
    attention = kernel("_scaled_dot_product_flash_attention_for_cpu", *[(1, 2, 64, 64)] * 3)
    backward = kernel("_scaled_dot_product_flash_attention_for_cpu_backward", *[(1, 2, 64, 64)] * 3)
    sizes = [10**power for power in (4, 5, 6, 7, 8)]
    return Measured(
        products={"float32": [Timed(kernel=each, seconds=each.flops / 1e12) for each in products]},
        additions=[
            Timed(kernel=kernel("add", nbytes=size), seconds=size / (1e11 if size <= 10**6 else 2e10)) for size in sizes
        ],
        elementwise=[Timed(kernel=kernel("gelu", (1000,)), seconds=1e-6)],
        attention=[Timed(kernel=attention, seconds=1e-3), Timed(kernel=backward, seconds=3e-3)],
        overhead_s=5e-6,
        step=products,
        step_s=sum(each.flops for each in products) / 1e12 + 3 * 5e-6,
        all_reduces=[(size, 8e-6 + size / 2e9) for size in sizes],
        messages=[(size, 3e-6 + size / 4e9) for size in sizes],
        disk=Disk(read_bytes_per_s=2e9, write_bytes_per_s=1e9, open_rate_hz=1e4, create_rate_hz=1e3),
    )


def test_each_rank_is_a_device_as_fast_as_was_measured(measured):
    node = describe(measured, HERE, kernel_seconds).node
    device = node.device
    assert node.devices == 4
    assert device.memory_bytes == pytest.approx(2**32, rel=1e-3)
    assert device.peak_flops_per_s == {"float32": 1e12}
    assert device.gemm_half_extent == pytest.approx(0, abs=1e-6)
    assert device.streaming_bytes_per_s == 2e10
    assert (device.cache.cache_bytes, device.cache.bandwidth_bytes_per_s) == (10**6, 1e11)
    assert device.kernel_overhead_s == 5e-6
    assert device.instructions == {"gelu": 1.0}


def test_an_all_reduce_of_four_takes_two_steps_and_sends_its_buffer_one_and_a_half_times(measured):
    machine = describe(measured, HERE, kernel_seconds)
    network = machine.network
    (sums,) = network.transports["mpi"].regimes
    (sends,) = network.transports["send"].regimes
    assert sums.latency_s == pytest.approx(8e-6 / 2)
    assert sends.latency_s == pytest.approx(3e-6)
    # 2 GB/s of buffer are 3 GB/s of messages; single ones go at 4 GB/s
    assert machine.node.peer_bandwidth_bytes_per_s == pytest.approx(4e9)
    assert 1 / (1 / 4e9 + 1 / sums.copy_bytes_per_s) == pytest.approx(3e9, rel=1e-3)
    assert sends.copy_bytes_per_s is None


def test_the_file_holds_the_machine_with_a_source_of_each_number(measured, tmp_path):
    machine = describe(measured, HERE, kernel_seconds)
    path = tmp_path / "mine.toml"
    path.write_text(machine_toml(machine))
    again = load(path)
    assert replace(again, sources={}) == replace(machine, sources={})
    assert again.sources["node.device.kernel_overhead_s"].startswith("measured by fujimi machine calibrate, 2026-01-02")
    assert again.storage.read_bytes_per_s == 2e9


def test_one_rank_needs_no_messages_and_no_disk(measured, tmp_path):
    alone = replace(measured, all_reduces=(), messages=(), disk=None)
    machine = describe(alone, replace(HERE, ranks=1), kernel_seconds)
    path = tmp_path / "mine.toml"
    path.write_text(machine_toml(machine))
    assert replace(load(path), sources={}) == replace(machine, sources={})
    assert machine.sources["network.link_bandwidth_bytes_per_s"].startswith("unverified")


def test_operators_that_are_slower_in_a_step_make_a_slower_device_that_starts_them_as_fast(measured):
    measured = replace(measured, step_s=1.25 * (measured.step_s - 3 * 5e-6) + 3 * 5e-6)
    machine = describe(measured, HERE, kernel_seconds)
    device = machine.node.device
    assert device.peak_flops_per_s["float32"] == pytest.approx(1e12 / 1.25)
    assert device.streaming_bytes_per_s == pytest.approx(2e10 / 1.25)
    assert device.cache.bandwidth_bytes_per_s == pytest.approx(1e11 / 1.25)
    assert device.instructions_per_s == pytest.approx(1e9 / 1.25)
    assert device.kernel_overhead_s == 5e-6
    assert "over 1.250" in machine.sources["node.device.peak_flops_per_s"]


def test_a_step_that_is_faster_than_its_operators_alone_makes_no_faster_device(measured):
    device = describe(replace(measured, step_s=measured.step_s / 2), HERE, kernel_seconds).node.device
    assert device.peak_flops_per_s["float32"] == 1e12
