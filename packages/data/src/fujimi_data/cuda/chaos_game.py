"""The chaos game on a GPU: a thread for each orbit."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from fujimi_data.cuda.device import cuda, for_device, kernel, launch
from fujimi_data.families.chaos_game import (
    APART,
    BLOCK,
    MOST_MAPS,
    ORBITS,
    UNSEEN,
    _chosen,
    _mapped,
    _scale,
    coefficients,
)
from fujimi_data.families.ifs_orbit import System
from fujimi_data.threefry import Pair, threefry

_PAIRS = BLOCK // 2
_random_words, _scale_of = for_device(threefry), for_device(_scale)
_chosen_map, _mapped_point = for_device(_chosen), for_device(_mapped)


class Game(NamedTuple):
    """Whose points are played.

    Args:
        key: Of the random words.
        stream: Which sequence of the key.
        system: At most 8 maps.
    """

    key: Pair
    stream: int
    system: System


def play(games: Sequence[Game], points: int, *, with_origin: bool, threads: int) -> tuple[Any, Any]:
    """Play games as `fujimi_data.families.chaos_game.play` does.

    Args:
        games: To play.
        points: Of each.
        with_origin: Whether the first orbit starts from the origin.
        threads: Of a block.

    Returns:
        On the device: coordinates of shape (games, 2, played), random words of shape (games, played); at least as many
        are played as there are points.
    """
    count, played = len(games), -(-points // BLOCK) * BLOCK
    maps = np.empty((count, MOST_MAPS, 6), dtype=np.float32)
    bounds = np.empty((count, MOST_MAPS - 1), dtype=np.uint32)
    numbers = np.array([(*game.key, game.stream) for game in games], dtype=np.uint32)
    for i, game in enumerate(games):
        maps[i], bounds[i] = coefficients(game.system)
    coordinates = cuda.device_array((count, 2, played), dtype=np.float32)
    words = cuda.device_array((count, played), dtype=np.uint32)
    given = map(cuda.to_device, (maps, bounds, numbers))
    launch(_play, -(-count * ORBITS // threads), threads, *given, with_origin, coordinates, words)
    return coordinates, words


@kernel
def _play(maps: Any, bounds: Any, numbers: Any, with_origin: bool, coordinates: Any, words: Any) -> None:
    thread = cuda.grid(1)
    picture, orbit = thread // ORBITS, thread % ORBITS
    if picture >= len(maps):
        return
    key_0, key_1, stream = numbers[picture, 0], numbers[picture, 1], numbers[picture, 2]
    xs, ys = coordinates[picture, 0], coordinates[picture, 1]
    x, y = np.float32(0), np.float32(0)
    # orbits start from where one passes that comes from the origin, the first of them perhaps from there
    for step in range(UNSEEN + orbit * APART if orbit or not with_origin else 0):
        word, _ = _random_words(key_0, key_1, stream, np.uint32(step))
        x, y = _mapped_point(x, y, maps[picture], _chosen_map(word, bounds[picture]))
    for i in range(orbit, len(xs), ORBITS):
        counter = np.uint32((i // BLOCK + 1) * _PAIRS + i % _PAIRS)
        word_0, word_1 = _random_words(key_0, key_1, stream, counter)
        word = word_0 if i % BLOCK < _PAIRS else word_1
        xs[i], ys[i], words[picture, i] = x, y, word
        x, y = _mapped_point(x, y, maps[picture], _chosen_map(word, bounds[picture]))


@cuda.jit(device=True)
def frame(coordinates: Any, points: int, pixels: int, limit: Any, ends: Any, beyond: Any) -> Any:
    """Where the points of a picture lie, as `fujimi_data.families.chaos_game.frame` has it; all threads get it.

    Args:
        coordinates: Shape (2, played).
        points: That count.
        pixels: Columns, and rows, that they are to fill.
        limit: Of the size of coordinates.
        ends: Shared by the threads of a block, shape (4, threads).
        beyond: Shared by them, shape (threads,).
    """
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    beyond[thread] = 0
    for axis in range(2):
        values = coordinates[axis]
        low, high = values[0], values[0]
        for i in range(thread, points, threads):
            value = values[i]
            low, high = min(low, value), max(high, value)
            # what is no number is not within the limit either
            if not abs(value) <= limit:
                beyond[thread] = 1
        ends[2 * axis, thread], ends[2 * axis + 1, thread] = low, high
    cuda.syncthreads()
    if thread == 0:
        for other in range(1, threads):
            beyond[0] |= beyond[other]
            for axis in range(2):
                ends[2 * axis, 0] = min(ends[2 * axis, 0], ends[2 * axis, other])
                ends[2 * axis + 1, 0] = max(ends[2 * axis + 1, 0], ends[2 * axis + 1, other])
    cuda.syncthreads()
    low_x, low_y = ends[0, 0], ends[2, 0]
    scale_x, scale_y = _scale_of(pixels, low_x, ends[1, 0]), _scale_of(pixels, low_y, ends[3, 0])
    return beyond[0] == 0, low_x, low_y, scale_x, scale_y
