"""Time of matrix products, by hand."""

from dataclasses import replace

import pytest
from fujimi_core.device import Device, Tiles
from fujimi_core.machine import Machine
from fujimi_sim.kernels.gemm import arithmetic_s, gemm_efficiency, waves
from fujimi_sim.kernels.products import Products

PEAK = 1e12
SPEED = 0.8e12  # of the fixture's device


@pytest.fixture
def device(machine: Machine) -> Device:
    return replace(machine.node.device, tiles=Tiles(units=4, edges=(100,), depth=0))


def product(m: int, n: int, k: int, count: int = 1) -> Products:
    return Products(count=count, m=m, n=n, k=k)


def seconds(products: Products, device: Device) -> float:
    return arithmetic_s(products, device, peak_flops_per_s=PEAK)


def test_efficiency_rises_from_nothing_to_its_limit() -> None:
    reached = [gemm_efficiency(extent, limit=0.9, half_extent=100) for extent in (1e-9, 1, 100, 1e4, 1e12)]
    assert reached == sorted(reached)
    assert reached[0] == pytest.approx(0, abs=1e-10)
    assert reached[2] == 0.45
    assert reached[-1] == pytest.approx(0.9)


def test_whole_waves_run_at_full_speed(device: Device) -> None:
    whole = product(200, 400, 50)  # 8 tiles on 4 units
    assert seconds(whole, device) == pytest.approx(whole.flops / SPEED)


def test_one_tile_more_costs_a_whole_wave(device: Device) -> None:
    wave_s = 2 * 4 * 100 * 100 * 50 / SPEED
    assert seconds(product(200, 200, 50), device) == pytest.approx(wave_s)
    assert seconds(product(201, 200, 50), device) == pytest.approx(2 * wave_s)


def test_batch_shares_the_units(device: Device) -> None:
    assert seconds(product(100, 100, 50, count=4), device) == pytest.approx(seconds(product(200, 200, 50), device))


def test_tile_that_is_not_full_costs_as_much(device: Device) -> None:
    assert seconds(product(1, 1, 50), device) == pytest.approx(seconds(product(100, 100, 50), device))


def test_small_tiles_are_taken_where_they_leave_fewer_units_idle(device: Device) -> None:
    device = replace(device, tiles=Tiles(units=4, edges=(50, 100), depth=0))
    assert seconds(product(100, 100, 50), device) == pytest.approx(2 * 4 * 50 * 50 * 50 / SPEED)


def test_each_tile_costs_its_depth(device: Device) -> None:
    deep = replace(device, tiles=Tiles(units=4, edges=(100,), depth=50))
    assert seconds(product(200, 200, 50), deep) == pytest.approx(2 * seconds(product(200, 200, 50), device))


def test_long_sums_are_split_among_idle_units_and_cost_their_partial_sums(device: Device) -> None:
    split = replace(device, tiles=Tiles(units=4, edges=(100,), depth=0, most_splits=4), kernel_overhead_s=1e-6)
    tile_s = 2 * 100 * 100 * 10**6 / (SPEED / 4)
    partial_s = 4 * 2 * 4 * 100 * 100 / 1e9  # 4 parts of float32, written and read, at half of 2 GB/s
    assert seconds(product(100, 100, 10**6), split) == pytest.approx(tile_s / 4 + 1e-6 + partial_s)
    assert seconds(product(100, 100, 10), split) == pytest.approx(seconds(product(100, 100, 10), device))


def test_nothing_takes_no_time(device: Device) -> None:
    assert seconds(product(0, 100, 100), device) == 0
    assert waves(product(100, 100, 1, count=9), edge=100, splits=1, units=4) == 3
