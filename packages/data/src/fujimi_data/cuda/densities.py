"""Contractive systems on a GPU: a block of threads for each picture counts its points, all show them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from fujimi_data.cuda.chaos_game import Game, frame, play
from fujimi_data.cuda.device import cuda, kernel, launch
from fujimi_data.families.chaos_game import LARGEST
from fujimi_data.families.contractive_ifs import check_options, scene_of
from fujimi_data.families.density import MARGIN
from fujimi_data.families.keys import class_key

_THREADS = 256


def densities(
    *,
    seed: int,
    pictures: Sequence[tuple[int, int]],
    pixels: int,
    look: str = "binary",
    colour: bool = False,
    patch: bool = True,
    points: int = 100_000,
    least_maps: int = 2,
    most_maps: int = 4,
    jitter: bool = True,
    flips: bool = True,
) -> NDArray[np.uint8]:
    """Draw pictures of contractive systems, given their classes and instances; the rest is as of their ``render``.

    Raises:
        ValueError: If an argument is outside its range.
    """
    check_options(mode="default", look=look, points=points, least_maps=least_maps, most_maps=most_maps)
    keys = [class_key(seed, category) for category, _ in pictures]
    scenes = [
        scene_of(key, instance, patch=patch, least_maps=least_maps, most_maps=most_maps, jitter=jitter, flips=flips)
        for key, (_, instance) in zip(keys, pictures, strict=True)
    ]
    games = [
        Game(key, instance, scene.system) for key, (_, instance), scene in zip(keys, pictures, scenes, strict=True)
    ]
    count, width = len(pictures), pixels + 2 * MARGIN
    coordinates, _ = play(games, points, with_origin=False, threads=_THREADS)
    transposed = cuda.to_device(np.array([scene.is_transposed for scene in scenes], dtype=np.int32))
    stamps = cuda.to_device(np.array([scene.stamp for scene in scenes], dtype=np.int32))
    counts = cuda.to_device(np.zeros((count, width * width), dtype=np.uint32))
    covered = cuda.device_array((count, pixels * pixels), dtype=np.uint32)
    launch(_count, count, _THREADS, coordinates, transposed, points, width, counts)
    launch(_cover, -(-count * pixels * pixels // _THREADS), _THREADS, counts, stamps, pixels, width, covered)
    host = covered.copy_to_host().reshape(count, pixels, pixels)
    return np.stack([scene.shown(each, look=look, colour=colour) for scene, each in zip(scenes, host, strict=True)])


@kernel
def _count(coordinates: Any, transposed: Any, points: int, width: int, counts: Any) -> None:
    picture, thread, threads = cuda.blockIdx.x, cuda.threadIdx.x, cuda.blockDim.x
    ends = cuda.shared.array((4, _THREADS), types.float32)
    beyond = cuda.shared.array(_THREADS, types.int32)
    is_within, low_x, low_y, scale_x, scale_y = frame(
        coordinates[picture], points, width - 2 * MARGIN - 1, np.float32(LARGEST), ends, beyond
    )
    if not is_within:
        return
    offset = np.float32(MARGIN)
    for i in range(thread, points, threads):
        # x goes down, y to the right
        down = np.int32((coordinates[picture, 0, i] - low_x) * scale_x + offset)
        right = np.int32((coordinates[picture, 1, i] - low_y) * scale_y + offset)
        place = right * width + down if transposed[picture] else down * width + right
        cuda.atomic.add(counts, (picture, place), np.uint32(1))


@kernel
def _cover(counts: Any, stamps: Any, pixels: int, width: int, covered: Any) -> None:
    thread = cuda.grid(1)
    picture, place = thread // (pixels * pixels), thread % (pixels * pixels)
    if picture >= len(counts):
        return
    row, column, stamp = place // pixels, place % pixels, stamps[picture]
    sum_ = np.uint32(0)
    for bit in range(9):
        if stamp >> bit & 1:
            sum_ += counts[picture, (row + 2 - bit // 3) * width + column + 2 - bit % 3]
    covered[picture, place] = sum_
