"""Basins of attraction of Newton's method: moves points to roots, many at a time."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled

#: Most roots of a polynomial.
ROOTS = 8
#: Of a point from the root that it has reached.
TOLERANCE = 0.01
# Points that are worked on together: what belongs to them fits into the nearest cache.
_TILE = 1024
# Steps before points that have arrived are set aside, the first time and then; it costs as much as half a step.
_FIRST_STEPS, _STEPS = 5, 3
# Loops over roots have one length, for speed. A root so far away adds nothing.
_NOWHERE = 1e15
_LIMIT = np.float32(TOLERANCE**2)

_Floats = NDArray[np.float32]


def padded(roots: tuple[complex, ...]) -> tuple[_Floats, _Floats]:
    """Real and imaginary parts of up to eight roots, and of others far away, each of shape (8,)."""
    values = np.full(ROOTS, _NOWHERE, dtype=np.complex128)
    values[: len(roots)] = roots
    return values.real.astype(np.float32), values.imag.astype(np.float32)


@compiled
def draw_basins(
    roots_x: _Floats,
    roots_y: _Floats,
    relaxation: np.float32,
    middle: complex,
    across: complex,
    down: complex,
    levels: NDArray[np.uint8],
    picture: NDArray[np.uint8],
) -> None:
    """Colour each pixel by the root that its point reaches, and by the steps that it takes.

    Args:
        roots_x: Shape (8,).
        roots_y: Shape (8,).
        relaxation: Of steps.
        middle: Of the picture.
        across: From there to the right border.
        down: From there to the lower border.
        levels: For each root, and for none, after each number of steps; shape (9, most steps + 1, channels).
        picture: Shape (pixels, pixels, channels).
    """
    pixels, _, channels = picture.shape
    iterations = levels.shape[1] - 1
    # of points that move: place, squared distance from the nearest root, number in the tile and steps so far
    x, y, near, tags = _tile(), _tile(), _tile(), np.zeros(_TILE, dtype=np.int32)
    rest_x, rest_y, steps = _tile(), _tile(), np.empty(_TILE, dtype=np.uint8)
    reached = np.empty(_TILE, dtype=np.int32)
    flat = picture.reshape(-1, channels)
    row = column = 0
    for first in range(0, len(flat), _TILE):
        count = min(_TILE, len(flat) - first)
        for i in range(count):
            start = middle + across * ((2 * column + 1) / pixels - 1) + down * ((2 * row + 1) / pixels - 1)
            x[i], y[i], tags[i] = start.real, start.imag, i << 8
            column += 1
            if column == pixels:
                row, column = row + 1, 0
        _move_all(x, y, near, tags, count, roots_x, roots_y, relaxation, iterations, rest_x, rest_y, steps)
        _reach(rest_x, rest_y, count, roots_x, roots_y, reached)
        for i in range(count):
            for channel in range(channels):
                flat[first + i, channel] = levels[reached[i], steps[i], channel]


@compiled
def _tile() -> _Floats:
    return np.zeros(_TILE, dtype=np.float32)


@compiled
def _move_all(
    x: _Floats,
    y: _Floats,
    near: _Floats,
    tags: NDArray[np.int32],
    count: int,
    roots_x: _Floats,
    roots_y: _Floats,
    relaxation: np.float32,
    iterations: int,
    rest_x: _Floats,
    rest_y: _Floats,
    steps: NDArray[np.uint8],
) -> None:
    """Step until all points have arrived, or often enough."""
    done, ahead = 0, _FIRST_STEPS
    while count > 0 and done < iterations:
        ahead = min(ahead, iterations - done)
        for _ in range(ahead):
            # whole vectors: what follows the last point may move as well
            _step(x, y, near, tags, count + 7 & ~7, roots_x, roots_y, relaxation)
        done += ahead
        count = _set_aside(x, y, near, tags, count, rest_x, rest_y, steps)
        ahead = _STEPS


@compiled
def _step(
    x: _Floats,
    y: _Floats,
    near: _Floats,
    tags: NDArray[np.int32],
    count: int,
    roots_x: _Floats,
    roots_y: _Floats,
    relaxation: np.float32,
) -> None:
    """Move points that have not arrived, and count their steps in the low byte of the tags."""
    one, zero = np.float32(1), np.float32(0)
    for i in range(count):
        sum_x, sum_y, nearest = zero, zero, np.float32(np.inf)
        # two roots share a division: 1 / (z - r) is the conjugate of z - r over its square
        for k in range(0, ROOTS, 2):
            x_0, y_0 = x[i] - roots_x[k], y[i] - roots_y[k]
            x_1, y_1 = x[i] - roots_x[k + 1], y[i] - roots_y[k + 1]
            square_0, square_1 = x_0 * x_0 + y_0 * y_0, x_1 * x_1 + y_1 * y_1
            both = one / (square_0 * square_1)
            inverse_0, inverse_1 = square_1 * both, square_0 * both
            sum_x += x_0 * inverse_0 + x_1 * inverse_1
            sum_y += y_0 * inverse_0 + y_1 * inverse_1
            nearer = square_0 if square_0 < square_1 else square_1
            nearest = nearer if nearer < nearest else nearest
        length = relaxation / (sum_x * sum_x + sum_y * sum_y)
        moves = nearest >= _LIMIT
        x[i] -= sum_x * length if moves else zero
        y[i] -= sum_y * length if moves else zero
        tags[i] += np.int32(moves)
        near[i] = nearest


@compiled
def _set_aside(
    x: _Floats,
    y: _Floats,
    near: _Floats,
    tags: NDArray[np.int32],
    count: int,
    rest_x: _Floats,
    rest_y: _Floats,
    steps: NDArray[np.uint8],
) -> int:
    """Write down where points are, close the ranks of those that still move, and count them."""
    kept = 0
    for i in range(count):
        here_x, here_y, tag = x[i], y[i], tags[i]
        place = np.uint32(tag >> 8)
        rest_x[place], rest_y[place], steps[place] = here_x, here_y, tag & 255
        x[kept], y[kept], tags[kept] = here_x, here_y, tag
        kept += near[i] >= _LIMIT
    return kept


@compiled
def _reach(x: _Floats, y: _Floats, count: int, roots_x: _Floats, roots_y: _Floats, reached: NDArray[np.int32]) -> None:
    """Number of the root that each point has reached, 8 for none."""
    for i in range(count):
        nearest, number = _LIMIT, np.int32(ROOTS)
        for k in range(ROOTS):
            to_x, to_y = x[i] - roots_x[k], y[i] - roots_y[k]
            square = to_x * to_x + to_y * to_y
            number = np.int32(k) if square < nearest else number
            nearest = square if square < nearest else nearest
        reached[i] = number
