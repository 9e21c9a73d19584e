"""Time of matrix products: by their extent alone, or by the tiles that a device parts them into."""

import math

from fujimi_core.device import Device, Tiles

from fujimi_sim.kernels.products import Products

#: Partial sums are float32, written and read.
_PARTIAL_BYTES = 2 * 4


def gemm_efficiency(extent: float, *, limit: float, half_extent: float) -> float:
    """Share of the peak that a matrix product reaches, ``limit · extent / (extent + half_extent)``.

    >>> gemm_efficiency(650, limit=0.95, half_extent=650)
    0.475

    Args:
        extent: Cube root of m·n·k, above 0.
        limit: For very large products.
        half_extent: Where half of it is reached.

    Source:
        Hockney's half-performance length, "The Science of Computer Benchmarking", 1996, chapter 1, in the extent.
    """
    return limit * extent / (extent + half_extent)


def arithmetic_s(products: Products, device: Device, *, peak_flops_per_s: float) -> float:
    """Time of products whose operands are at hand, without what each operator costs.

    Args:
        products: Which.
        device: On what.
        peak_flops_per_s: Of the device in their type.
    """
    if not products.flops:
        return 0.0
    efficiency = gemm_efficiency(products.extent, limit=device.gemm_efficiency, half_extent=device.gemm_half_extent)
    speed = peak_flops_per_s * efficiency
    if device.tiles is None:
        return products.flops / speed
    ways = _ways(device.tiles)
    return min(_tiled_s(products, device, tile, edge, splits, speed) for tile, edge, splits in ways)


def waves(products: Products, *, edge: int, splits: int, units: int) -> int:
    """How many tiles one after the other the busiest unit computes.

    >>> waves(Products(count=1, m=2048, n=2048, k=1024), edge=128, splits=1, units=132)
    2

    Args:
        products: All of them share the units.
        edge: Rows and columns of a tile.
        splits: Parts of each sum.
        units: That compute at the same time.

    Source:
        NVIDIA, "Matrix Multiplication Background User's Guide", sections on tile and wave quantization.
    """
    tiles = math.ceil(products.m / edge) * math.ceil(products.n / edge) * products.count * splits
    return math.ceil(tiles / units)


def _ways(tiles: Tiles) -> list[tuple[Tiles, int, int]]:
    splits = [2**power for power in range(tiles.most_splits.bit_length()) if 2**power <= tiles.most_splits]
    return [(tiles, edge, parts) for edge in tiles.edges for parts in splits]


def _tiled_s(products: Products, device: Device, tiles: Tiles, edge: int, splits: int, speed: float) -> float:
    steps = products.k / splits + tiles.depth
    tile_s = 2 * edge * edge * steps / (speed / tiles.units)
    seconds = waves(products, edge=edge, splits=splits, units=tiles.units) * tile_s
    if splits == 1:
        return seconds
    partial_bytes = _PARTIAL_BYTES * splits * products.count * products.m * products.n
    return seconds + device.kernel_overhead_s + partial_bytes / device.streaming_bytes_per_s
