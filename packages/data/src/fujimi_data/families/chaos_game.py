"""The chaos game: points of two-dimensional iterated function systems, four orbits at a time."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled
from fujimi_data.families.ifs_orbit import PAD, System
from fujimi_data.threefry import fill_words

#: Most maps of a system.
MOST_MAPS = 8
#: Coordinates up to this size can still be scaled.
LARGEST = 1e30
#: Points are played in blocks of so many.
BLOCK = 2048
_PAIRS = BLOCK // 2
_ORBITS = 4
_WORDS = 2.0**32
_INFINITY = 0x7F800000
# the largest picture, divided by this, is still a number
_LEAST_SPAN = 1e-30

_Floats = NDArray[np.float32]
_Words = NDArray[np.uint32]


def coefficients(system: System) -> tuple[_Floats, _Words]:
    """What :func:`play` needs of a system.

    Returns:
        The parameters a, b, c, d, e, f of each map, shape (8, 6), and the random word from which on the map after each
        is chosen, shape (7,). Maps that the system does not have are its last.
    """
    maps = np.empty((MOST_MAPS, 6), dtype=np.float32)
    maps[: len(system)] = system[:, :6]
    maps[len(system) :] = system[-1, :6]
    bounds = np.full(MOST_MAPS - 1, _WORDS - 1)
    bounds[: len(system) - 1] = np.minimum(np.ceil(np.cumsum(system[:-1, 6]) * _WORDS), _WORDS - 1)
    return maps, bounds.astype(np.uint32)


@compiled
def play(
    xs: _Floats,
    ys: _Floats,
    words: _Words,
    maps: _Floats,
    bounds: _Words,
    key_0: np.uint32,
    key_1: np.uint32,
    stream: np.uint32,
    with_origin: bool,
) -> None:
    """Write points of a system, and the random words that chose their maps.

    A single orbit waits for its own arithmetic. Four orbits do not; they take turns, point by point. All start from the
    origin and take 512 steps before they are written.

    Args:
        xs: Written; a whole number of blocks of 2048 points.
        ys: Written; as long.
        words: Written; as long. A point's word chose the map that leaves from it.
        maps: See :func:`coefficients`.
        bounds: See :func:`coefficients`.
        key_0: First half of the key of the random words.
        key_1: Second half of the key.
        stream: Which sequence of the key.
        with_origin: Whether the first orbit then starts from the origin again: the points are those of one orbit from
            there, cut into four. Otherwise they lie where orbits end up.
    """
    chosen = np.empty(BLOCK, dtype=np.uint32)
    x0 = x1 = x2 = x3 = y0 = y1 = y2 = y3 = np.float32(0)
    for played in range(len(xs) // BLOCK + 1):
        # the first block's place is the second's: the steps that are not to be seen
        start = max(played - 1, 0) * BLOCK
        block = words[start : start + BLOCK]
        fill_words(block[:_PAIRS], block[_PAIRS:], key_0, key_1, stream, np.uint32(played * _PAIRS))
        _choose(chosen, block, bounds)
        if played == 1 and with_origin:
            x0 = y0 = np.float32(0)
        for step in range(0, BLOCK, _ORBITS):
            i = start + step
            xs[i], ys[i], xs[i + 1], ys[i + 1] = x0, y0, x1, y1
            xs[i + 2], ys[i + 2], xs[i + 3], ys[i + 3] = x2, y2, x3, y3
            x0, y0 = _mapped(x0, y0, maps, chosen[step])
            x1, y1 = _mapped(x1, y1, maps, chosen[step + 1])
            x2, y2 = _mapped(x2, y2, maps, chosen[step + 2])
            x3, y3 = _mapped(x3, y3, maps, chosen[step + 3])


@compiled
def _choose(chosen: _Words, words: _Words, bounds: _Words) -> None:
    for i in range(len(chosen)):
        j = np.uint32(0)
        for k in range(MOST_MAPS - 1):
            j += np.uint32(words[i] >= bounds[k])
        chosen[i] = j


@compiled
def _mapped(x: np.float32, y: np.float32, maps: _Floats, j: np.uint32) -> tuple[np.float32, np.float32]:
    return x * maps[j, 0] + y * maps[j, 1] + maps[j, 4], x * maps[j, 2] + y * maps[j, 3] + maps[j, 5]


@compiled
def frame(
    xs: _Floats, ys: _Floats, pixels: int, limit: np.float32
) -> tuple[bool, np.float32, np.float32, np.float32, np.float32]:
    """Where the points lie.

    Args:
        xs: Coordinates.
        ys: Coordinates.
        pixels: Columns, and rows, that the points are to fill.
        limit: Of the size of coordinates, at most :data:`LARGEST`.

    Returns:
        Whether all coordinates are numbers within the limit, the least x and y, and columns and rows for each unit.
    """
    low_x, high_x = _least_and_most(xs)
    low_y, high_y = _least_and_most(ys)
    # what is no number is not within the limit either
    within = bool(low_x >= -limit and high_x <= limit and low_y >= -limit and high_y <= limit)
    return within, low_x, low_y, _scale(pixels, low_x, high_x), _scale(pixels, low_y, high_y)


@compiled
def _least_and_most(values: _Floats) -> tuple[np.float32, np.float32]:
    """Least and greatest of some numbers; one of both is no number if one of these is none."""
    # floats are ordered as the integers of their bits, if those of negative ones are turned around; integers are
    # compared many at a time
    bits = values.view(np.int32)
    low, high = np.int32(_INFINITY), np.int32(~_INFINITY)
    for i in range(len(bits)):
        ordered = np.int32(bits[i] ^ ((bits[i] >> np.int32(31)) & np.int32(0x7FFFFFFF)))
        low = min(low, ordered)
        high = max(high, ordered)
    ends = np.empty(2, dtype=np.int32)
    ends[0] = low ^ ((low >> np.int32(31)) & np.int32(0x7FFFFFFF))
    ends[1] = high ^ ((high >> np.int32(31)) & np.int32(0x7FFFFFFF))
    return ends.view(np.float32)[0], ends.view(np.float32)[1]


@compiled
def _scale(pixels: int, low: np.float32, high: np.float32) -> np.float32:
    span = np.float32(high - low)
    return np.float32(pixels) / span if span > np.float32(_LEAST_SPAN) else np.float32(0)


@compiled
def fill_places(
    places: NDArray[np.int32],
    xs: _Floats,
    ys: _Floats,
    low_x: np.float32,
    low_y: np.float32,
    scale_x: np.float32,
    scale_y: np.float32,
    margin: int,
    width: int,
) -> None:
    """Cells of points in a grid: row ``(y - low_y) * scale_y + margin``, cut off after the point; likewise the column.

    Args:
        places: Written: row times width plus column.
        xs: Coordinates.
        ys: Coordinates.
        low_x: Of column ``margin``.
        low_y: Of row ``margin``.
        scale_x: Columns for each unit.
        scale_y: Rows for each unit.
        margin: Columns and rows before those.
        width: Columns of the grid.
    """
    offset = np.float32(margin)
    for i in range(len(places)):
        column = np.int32((xs[i] - low_x) * scale_x + offset)
        row = np.int32((ys[i] - low_y) * scale_y + offset)
        places[i] = np.int32(row * np.int32(width)) + column


@compiled
def place_all(places: NDArray[np.int32], xs: _Floats, ys: _Floats, pixels: int) -> bool:
    """Pixels of points that fill a square picture but for :data:`PAD`; whether the coordinates are numbers."""
    within, low_x, low_y, scale_x, scale_y = frame(xs, ys, pixels - 2 * PAD, np.float32(LARGEST))
    if within:
        fill_places(places, xs, ys, low_x, low_y, scale_x, scale_y, PAD, pixels)
    return within
