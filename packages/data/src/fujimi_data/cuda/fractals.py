"""FractalDB, OFDB and 1p-frac on a GPU: a thread for each orbit, and a block of threads for each picture."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from fujimi_data.cuda.device import cuda, for_device, kernel, launch
from fujimi_data.families import fractaldb, ofdb, one_p_frac
from fujimi_data.families.chaos_game import (
    APART,
    BLOCK,
    LARGEST,
    MOST_MAPS,
    ORBITS,
    UNSEEN,
    _chosen,
    _mapped,
    _scale,
    coefficients,
)
from fujimi_data.families.fractaldb_instances import (
    FLIPS,
    PATTERNS,
    STAGES,
    UNCHANGED_ROW,
    Variant,
    proper_variant,
    row_of,
)
from fujimi_data.families.ifs_orbit import PAD, System
from fujimi_data.families.ifs_picture import GREY
from fujimi_data.families.keys import class_key
from fujimi_data.families.patches import MARGIN, MASK_BITS, grid_width
from fujimi_data.threefry import Pair, threefry

_THREADS = 256
_PAIRS = BLOCK // 2
_random_words, _scale_of = for_device(threefry), for_device(_scale)
_chosen_map, _mapped_point = for_device(_chosen), for_device(_mapped)


class _Game(NamedTuple):
    """What a picture shows.

    Args:
        key: Of the random words.
        stream: Which sequence of the key.
        system: That is played.
        limit: Of the size of coordinates.
        flip: Of the picture.
    """

    key: Pair
    stream: int
    system: System
    limit: float
    flip: int


def fractals(
    *, seed: int, pictures: Sequence[tuple[int, int]], pixels: int, points: int = 200_000, weights: float = 0.4
) -> NDArray[np.uint8]:
    """Draw grey pictures of FractalDB in patches, given their classes and instances."""
    games = []
    for category, instance in pictures:
        number, flip = divmod(instance, FLIPS)
        key = class_key(seed, category)
        variant = _variant(key, row_of(number, patterns=PATTERNS), weights)
        games.append(_Game(key, number, variant.system, variant.limit, flip))
    render = partial(fractaldb.render, weights=weights)
    return _drawn(games, render, seed=seed, pictures=pictures, pixels=pixels, points=points)


def ofdb_fractals(
    *, seed: int, pictures: Sequence[tuple[int, int]], pixels: int, points: int = 200_000
) -> NDArray[np.uint8]:
    """Draw grey pictures of OFDB in patches, given their classes and instances."""
    games = []
    for category, instance in pictures:
        key = class_key(seed, category)
        variant = _variant(key, UNCHANGED_ROW, 0.0)
        games.append(_Game(key, instance, variant.system, variant.limit, 0))
    return _drawn(games, ofdb.render, seed=seed, pictures=pictures, pixels=pixels, points=points)


def one_p_fractals(
    *,
    seed: int,
    pictures: Sequence[tuple[int, int]],
    pixels: int,
    points: int = 100_000,
    maps: int = 2,
    sigma: float = 3.5,
    delta: float = 0.1,
    fill_rate: float = 0.05,
) -> NDArray[np.uint8]:
    """Draw grey pictures of 1p-frac, given their classes and instances; the rest is as of its ``render``.

    A picture of each class is drawn on a processor first, which decides whether it is lit enough.

    Raises:
        ValueError: As ``render`` does.
    """
    recipe = one_p_frac.Recipe(seed=seed, points=points, maps=maps, sigma=sigma, delta=delta, fill_rate=fill_rate)
    games = []
    for category, instance in pictures:
        system = one_p_frac.class_system(recipe, category, one_p_frac.lit_attempt(recipe, category))
        games.append(_Game(class_key(seed, category), instance, system, LARGEST, 0))
    render = partial(one_p_frac.render, maps=maps, sigma=sigma, delta=delta, fill_rate=fill_rate)
    return _drawn(games, render, seed=seed, pictures=pictures, pixels=pixels, points=points)


def _variant(key: Pair, row: int, weights: float) -> Variant:
    stages = (proper_variant(key, fill_rate=0.2, weights=weights, row=row, stage=stage) for stage in range(STAGES + 1))
    return next(variant for variant in stages if variant is not None)


def _drawn(
    games: Sequence[_Game],
    render: Callable[..., NDArray[np.uint8]],
    *,
    seed: int,
    pictures: Sequence[tuple[int, int]],
    pixels: int,
    points: int,
) -> NDArray[np.uint8]:
    """Draw pictures, on a processor those whose points go beyond the limit; few do."""
    count, played = len(games), -(-points // BLOCK) * BLOCK
    maps = np.empty((count, MOST_MAPS, 6), dtype=np.float32)
    bounds = np.empty((count, MOST_MAPS - 1), dtype=np.uint32)
    numbers = np.empty((count, 4), dtype=np.uint32)
    limits = np.empty(count, dtype=np.float32)
    for i, game in enumerate(games):
        maps[i], bounds[i] = coefficients(game.system)
        limits[i], numbers[i] = game.limit, (*game.key, game.stream, game.flip)
    width = grid_width(pixels)
    coordinates = cuda.device_array((count, 2, played), dtype=np.float32)
    words = cuda.device_array((count, played), dtype=np.uint32)
    grids = cuda.to_device(np.zeros((count, width * width), dtype=np.uint32))
    drawn = cuda.device_array((count, pixels * pixels), dtype=np.uint8)
    within = cuda.device_array(count, dtype=np.bool_)
    maps, bounds, numbers, limits = map(cuda.to_device, (maps, bounds, numbers, limits))
    launch(_play, -(-count * ORBITS // _THREADS), _THREADS, maps, bounds, numbers, coordinates, words)
    launch(_note, count, _THREADS, coordinates, words, limits, points, width, grids, within)
    launch(_show, -(-count * pixels * pixels // _THREADS), _THREADS, grids, numbers, pixels, width, drawn)
    greys: NDArray[np.uint8] = drawn.copy_to_host().reshape(count, pixels, pixels)
    for i in np.flatnonzero(~within.copy_to_host()).tolist():
        category, instance = pictures[i]
        greys[i] = render(seed=seed, category=category, instance=instance, pixels=pixels, points=points)
    return greys


@kernel
def _play(maps: Any, bounds: Any, numbers: Any, coordinates: Any, words: Any) -> None:
    thread = cuda.grid(1)
    picture, orbit = thread // ORBITS, thread % ORBITS
    if picture >= len(maps):
        return
    key_0, key_1, stream = numbers[picture, 0], numbers[picture, 1], numbers[picture, 2]
    xs, ys = coordinates[picture, 0], coordinates[picture, 1]
    x, y = np.float32(0), np.float32(0)
    # the first orbit starts from the origin, others from where one passes that does
    for step in range(UNSEEN + orbit * APART if orbit else 0):
        word, _ = _random_words(key_0, key_1, stream, np.uint32(step))
        x, y = _mapped_point(x, y, maps[picture], _chosen_map(word, bounds[picture]))
    for i in range(orbit, len(xs), ORBITS):
        counter = np.uint32((i // BLOCK + 1) * _PAIRS + i % _PAIRS)
        word_0, word_1 = _random_words(key_0, key_1, stream, counter)
        word = word_0 if i % BLOCK < _PAIRS else word_1
        xs[i], ys[i], words[picture, i] = x, y, word
        x, y = _mapped_point(x, y, maps[picture], _chosen_map(word, bounds[picture]))


@kernel
def _note(coordinates: Any, words: Any, limits: Any, points: int, width: int, grids: Any, within: Any) -> None:
    picture, thread, threads = cuda.blockIdx.x, cuda.threadIdx.x, cuda.blockDim.x
    ends = cuda.shared.array((4, _THREADS), types.float32)
    beyond = cuda.shared.array(_THREADS, types.int32)
    limit, beyond[thread] = limits[picture], 0
    for axis in range(2):
        values = coordinates[picture, axis]
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
        within[picture] = beyond[0] == 0
    cuda.syncthreads()
    if beyond[0]:
        return
    low_x, low_y, span = ends[0, 0], ends[2, 0], width - MARGIN - 2 * PAD
    scale_x, scale_y = _scale_of(span, low_x, ends[1, 0]), _scale_of(span, low_y, ends[3, 0])
    offset = np.float32(PAD + MARGIN)
    for i in range(thread, points, threads):
        column = np.int32((coordinates[picture, 0, i] - low_x) * scale_x + offset)
        row = np.int32((coordinates[picture, 1, i] - low_y) * scale_y + offset)
        mask, other_mask = words[picture, i] & np.uint32(511), (words[picture, i] >> np.uint32(9)) & np.uint32(511)
        mask = mask if mask else max(other_mask, np.uint32(1))
        value = np.uint32((np.uint32(i + 1) << np.uint32(MASK_BITS)) | mask)
        cuda.atomic.max(grids, (picture, row * width + column), value)


@kernel
def _show(grids: Any, numbers: Any, pixels: int, width: int, pictures: Any) -> None:
    thread = cuda.grid(1)
    picture, place = thread // (pixels * pixels), thread % (pixels * pixels)
    if picture >= len(grids):
        return
    row, column = place // pixels, place % pixels
    latest = np.uint32(0)
    for down in range(3):
        for right in range(3):
            latest = max(latest, grids[picture, (row + down) * width + column + right])
    lit = (latest >> np.uint32(3 * (row % 3) + column % 3)) & np.uint32(1)
    flip = numbers[picture, 3]
    shown_row = row if flip % 2 else pixels - 1 - row
    shown_column = pixels - 1 - column if flip >= 2 else column
    pictures[picture, shown_row * pixels + shown_column] = GREY if lit else 0
