"""The chaos game: points of two-dimensional iterated function systems, 32 orbits at a time."""

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
#: Orbits that take turns.
ORBITS = 32
_PAIRS = BLOCK // 2
#: Steps before the points that orbits start from, and between these; all together fewer than a block's pairs.
UNSEEN, APART = 512, 16
# A map that only the last word would choose is none.
_LAST = 2**32 - 1
_INFINITY = 0x7F800000
# the largest picture, divided by this, is still a number
_LEAST_SPAN = 1e-30

_Floats = NDArray[np.float32]
_Words = NDArray[np.uint32]
_Two = tuple[np.float32, np.float32]
_Four = tuple[np.float32, np.float32, np.float32, np.float32]


def coefficients(system: System) -> tuple[_Floats, _Words]:
    """What :func:`play` needs of a system.

    Returns:
        The parameters a, b, c, d, e, f of each map, shape (8, 6), and the random word from which on the map after each
        is chosen, shape (7,). Maps that the system does not have are its last.
    """
    maps = np.empty((MOST_MAPS, 6), dtype=np.float32)
    maps[: len(system)] = system[:, :6]
    maps[len(system) :] = system[-1, :6]
    bounds = np.full(MOST_MAPS - 1, float(_LAST))
    bounds[: len(system) - 1] = np.minimum(np.ceil(np.cumsum(system[:-1, 6]) * 2.0**32), _LAST)
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

    A single orbit waits for its own arithmetic. Here 32 orbits take turns, point by point. One that comes from the
    origin passes their first points: after 512 steps, and each 16 steps from there on.

    Args:
        xs: Written; a whole number of blocks of 2048 points.
        ys: Written; as long.
        words: Written; as long. A point's word chose the map that leaves from it.
        maps: See :func:`coefficients`.
        bounds: See :func:`coefficients`.
        key_0: First half of the key of the random words.
        key_1: Second half of the key.
        stream: Which sequence of the key.
        with_origin: Whether the first orbit starts from the origin instead: the points are those of one orbit from
            there, cut into 32. Otherwise they lie where orbits end up.
    """
    _fill_block(words[:BLOCK], key_0, key_1, stream, 0)
    _start(xs, ys, words, maps, bounds)
    if with_origin:
        xs[0] = ys[0] = np.float32(0)
    points = len(xs)
    for start in range(0, points, BLOCK):
        block = words[start : start + BLOCK]
        _fill_block(block, key_0, key_1, stream, start // BLOCK + 1)
        end = min(start + BLOCK, points - ORBITS)
        _follow(xs[start : end + ORBITS], ys[start : end + ORBITS], block[: end - start], maps, bounds)


@compiled
def _fill_block(block: _Words, key_0: np.uint32, key_1: np.uint32, stream: np.uint32, number: int) -> None:
    fill_words(block[:_PAIRS], block[_PAIRS:], key_0, key_1, stream, np.uint32(number * _PAIRS))


@compiled
def _start(xs: _Floats, ys: _Floats, words: _Words, maps: _Floats, bounds: _Words) -> None:
    x = y = np.float32(0)
    for step in range(UNSEEN + ORBITS * APART):
        if step >= UNSEEN and (step - UNSEEN) % APART == 0:
            orbit = (step - UNSEEN) // APART
            xs[orbit], ys[orbit] = x, y
        x, y = _mapped(x, y, maps, _chosen(words[step], bounds))


@compiled
def _follow(xs: _Floats, ys: _Floats, words: _Words, maps: _Floats, bounds: _Words) -> None:
    """Write the points after the first 32."""
    # to choose among few numbers, many orbits at a time, is sooner done than to look them up
    a, b, c, d, e, f = maps[:, 0], maps[:, 1], maps[:, 2], maps[:, 3], maps[:, 4], maps[:, 5]
    if bounds[1] == _LAST:
        _follow_two(xs, ys, words, bounds[0], _two(a), _two(b), _two(c), _two(d), _two(e), _two(f))
    elif bounds[3] == _LAST:
        limits = bounds[0], bounds[1], bounds[2]
        _follow_four(xs, ys, words, limits, _four(a), _four(b), _four(c), _four(d), _four(e), _four(f))
    else:
        _follow_many(xs, ys, words, maps, bounds)


@compiled
def _two(values: _Floats) -> _Two:
    return values[0], values[1]


@compiled
def _four(values: _Floats) -> _Four:
    return values[0], values[1], values[2], values[3]


@compiled
def _follow_two(
    xs: _Floats, ys: _Floats, words: _Words, limit: np.uint32, a: _Two, b: _Two, c: _Two, d: _Two, e: _Two, f: _Two
) -> None:
    for i in range(len(words)):
        x, y, second = xs[i], ys[i], words[i] >= limit
        xs[i + ORBITS] = x * _either(second, a) + y * _either(second, b) + _either(second, e)
        ys[i + ORBITS] = x * _either(second, c) + y * _either(second, d) + _either(second, f)


@compiled
def _either(second: bool, values: _Two) -> np.float32:
    return values[1] if second else values[0]


@compiled
def _follow_four(
    xs: _Floats,
    ys: _Floats,
    words: _Words,
    limits: tuple[np.uint32, np.uint32, np.uint32],
    a: _Four,
    b: _Four,
    c: _Four,
    d: _Four,
    e: _Four,
    f: _Four,
) -> None:
    for i in range(len(words)):
        x, y, word = xs[i], ys[i], words[i]
        xs[i + ORBITS] = x * _one_of(word, limits, a) + y * _one_of(word, limits, b) + _one_of(word, limits, e)
        ys[i + ORBITS] = x * _one_of(word, limits, c) + y * _one_of(word, limits, d) + _one_of(word, limits, f)


@compiled
def _one_of(word: np.uint32, limits: tuple[np.uint32, np.uint32, np.uint32], values: _Four) -> np.float32:
    value = values[1] if word >= limits[0] else values[0]
    value = values[2] if word >= limits[1] else value
    return values[3] if word >= limits[2] else value


@compiled
def _follow_many(xs: _Floats, ys: _Floats, words: _Words, maps: _Floats, bounds: _Words) -> None:
    chosen = np.empty(len(words), dtype=np.uint32)
    for i in range(len(words)):
        chosen[i] = _chosen(words[i], bounds)
    for i in range(len(words)):
        xs[i + ORBITS], ys[i + ORBITS] = _mapped(xs[i], ys[i], maps, chosen[i])


@compiled
def _chosen(word: np.uint32, bounds: _Words) -> np.uint32:
    j = np.uint32(0)
    for k in range(MOST_MAPS - 1):
        j += np.uint32(word >= bounds[k])
    return j


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
