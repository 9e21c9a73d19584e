"""FractalDB, OFDB and 1p-frac on a GPU: a block of threads for each picture."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numpy.typing import NDArray

from fujimi_data.cuda.chaos_game import Game, frame, play
from fujimi_data.cuda.device import cuda, kernel, launch
from fujimi_data.families import fractaldb, ofdb, one_p_frac
from fujimi_data.families.chaos_game import LARGEST
from fujimi_data.families.fractaldb_instances import (
    FLIPS,
    PATTERNS,
    STAGES,
    UNCHANGED_ROW,
    Variant,
    proper_variant,
    row_of,
)
from fujimi_data.families.ifs_orbit import PAD
from fujimi_data.families.ifs_picture import GREY, check_drawing
from fujimi_data.families.keys import class_key
from fujimi_data.families.patches import MARGIN, MASK_BITS, grid_width
from fujimi_data.threefry import Pair

_THREADS = 256


class _Drawing(NamedTuple):
    """A picture that is to be drawn.

    Args:
        game: Whose points it shows.
        limit: Of the size of coordinates.
        flip: See `fujimi_data.families.ifs_picture.flipped`.
    """

    game: Game
    limit: float
    flip: int


def fractals(
    *, seed: int, pictures: Sequence[tuple[int, int]], pixels: int, points: int = 200_000, weights: float = 0.4
) -> NDArray[np.uint8]:
    """Draw grey pictures of FractalDB in patches, given their classes and instances."""
    drawings = []
    for category, instance in pictures:
        number, flip = divmod(instance, FLIPS)
        key = class_key(seed, category)
        variant = _variant(key, row_of(number, patterns=PATTERNS), weights)
        drawings.append(_Drawing(Game(key, number, variant.system), variant.limit, flip))
    render = partial(fractaldb.render, weights=weights)
    return _drawn(drawings, render, seed=seed, pictures=pictures, pixels=pixels, points=points)


def ofdb_fractals(
    *, seed: int, pictures: Sequence[tuple[int, int]], pixels: int, points: int = 200_000
) -> NDArray[np.uint8]:
    """Draw grey pictures of OFDB in patches, given their classes and instances."""
    drawings = []
    for category, instance in pictures:
        key = class_key(seed, category)
        variant = _variant(key, UNCHANGED_ROW, 0.0)
        drawings.append(_Drawing(Game(key, instance, variant.system), variant.limit, 0))
    return _drawn(drawings, ofdb.render, seed=seed, pictures=pictures, pixels=pixels, points=points)


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
    drawings = []
    for category, instance in pictures:
        system = one_p_frac.class_system(recipe, category, one_p_frac.lit_attempt(recipe, category))
        drawings.append(_Drawing(Game(class_key(seed, category), instance, system), LARGEST, 0))
    render = partial(one_p_frac.render, maps=maps, sigma=sigma, delta=delta, fill_rate=fill_rate)
    return _drawn(drawings, render, seed=seed, pictures=pictures, pixels=pixels, points=points)


def _variant(key: Pair, row: int, weights: float) -> Variant:
    stages = (proper_variant(key, fill_rate=0.2, weights=weights, row=row, stage=stage) for stage in range(STAGES + 1))
    return next(variant for variant in stages if variant is not None)


def _drawn(
    drawings: Sequence[_Drawing],
    render: Callable[..., NDArray[np.uint8]],
    *,
    seed: int,
    pictures: Sequence[tuple[int, int]],
    pixels: int,
    points: int,
) -> NDArray[np.uint8]:
    """Draw pictures, on a processor those whose points go beyond the limit; few do."""
    check_drawing(draw="patch", points=points)
    count, width = len(drawings), grid_width(pixels)
    coordinates, words = play([drawing.game for drawing in drawings], points, with_origin=True, threads=_THREADS)
    limits = cuda.to_device(np.array([drawing.limit for drawing in drawings], dtype=np.float32))
    flips = cuda.to_device(np.array([drawing.flip for drawing in drawings], dtype=np.int32))
    grids = cuda.to_device(np.zeros((count, width * width), dtype=np.uint32))
    drawn = cuda.device_array((count, pixels * pixels), dtype=np.uint8)
    within = cuda.device_array(count, dtype=np.bool_)
    launch(_note, count, _THREADS, coordinates, words, limits, points, width, grids, within)
    launch(_show, -(-count * pixels * pixels // _THREADS), _THREADS, grids, flips, pixels, width, drawn)
    greys: NDArray[np.uint8] = drawn.copy_to_host().reshape(count, pixels, pixels)
    for i in np.flatnonzero(~within.copy_to_host()).tolist():
        category, instance = pictures[i]
        greys[i] = render(seed=seed, category=category, instance=instance, pixels=pixels, points=points)
    return greys


@kernel
def _note(coordinates: Any, words: Any, limits: Any, points: int, width: int, grids: Any, within: Any) -> None:
    picture, thread, threads = cuda.blockIdx.x, cuda.threadIdx.x, cuda.blockDim.x
    ends = cuda.shared.array((4, _THREADS), types.float32)
    beyond = cuda.shared.array(_THREADS, types.int32)
    is_within, low_x, low_y, scale_x, scale_y = frame(
        coordinates[picture], points, width - MARGIN - 2 * PAD, limits[picture], ends, beyond
    )
    if thread == 0:
        within[picture] = is_within
    if not is_within:
        return
    offset = np.float32(PAD + MARGIN)
    for i in range(thread, points, threads):
        column = np.int32((coordinates[picture, 0, i] - low_x) * scale_x + offset)
        row = np.int32((coordinates[picture, 1, i] - low_y) * scale_y + offset)
        mask, other_mask = words[picture, i] & np.uint32(511), (words[picture, i] >> np.uint32(9)) & np.uint32(511)
        mask = mask if mask else max(other_mask, np.uint32(1))
        value = np.uint32((np.uint32(i + 1) << np.uint32(MASK_BITS)) | mask)
        cuda.atomic.max(grids, (picture, row * width + column), value)


@kernel
def _show(grids: Any, flips: Any, pixels: int, width: int, pictures: Any) -> None:
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
    flip = flips[picture]
    shown_row = row if flip % 2 else pixels - 1 - row
    shown_column = pixels - 1 - column if flip >= 2 else column
    pictures[picture, shown_row * pixels + shown_column] = GREY if lit else 0
