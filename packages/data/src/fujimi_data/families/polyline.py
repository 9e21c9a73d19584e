"""Closed polylines, one pixel wide, pixel for pixel those of Pillow."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled

# Steps of the inner loop. Its number of rounds cannot be predicted; a few steps in vain cost less than a wrong guess.
_STEPS = 4


@compiled
def draw_closed_polyline(picture: NDArray[np.uint8], x: NDArray[np.int32], y: NDArray[np.int32], grey: int) -> None:
    """Join each point to the next and the last to the first.

    The end of a segment is the start of the next, so only starts are drawn.

    Args:
        picture: Grey picture of shape (rows, columns), drawn into; what lies outside of it is left out.
        x: Column of each point.
        y: Row of each point.
        grey: From 0 to 255.

    Source:
        Segments are those of Pillow's ``ImageDraw.line``: J. E. Bresenham, "Algorithm for computer control of a digital
        plotter", IBM Systems Journal 4 (1965) 25, with ties away from the start.
    """
    rows, columns = picture.shape
    pixels = picture.reshape(-1)
    whole = x.min() >= 0 and y.min() >= 0 and x.max() < columns and y.max() < rows
    x0, y0 = np.int64(x[-1]), np.int64(y[-1])
    # the last pixels drawn win, but all have one grey: the closing segment may come first
    for i in range(len(x)):
        x1, y1 = np.int64(x[i]), np.int64(y[i])
        if whole or _inside(x0, y0, x1, y1, rows, columns):
            _draw(pixels, columns, x0, y0, x1, y1, grey)
        elif _near(x0, y0, x1, y1, rows, columns):
            _draw_clipped(picture, x0, y0, x1, y1, grey)
        x0, y0 = x1, y1


@compiled
def _inside(x0: np.int64, y0: np.int64, x1: np.int64, y1: np.int64, rows: int, columns: int) -> np.bool_:
    return min(x0, x1) >= 0 and min(y0, y1) >= 0 and max(x0, x1) < columns and max(y0, y1) < rows


@compiled
def _near(x0: np.int64, y0: np.int64, x1: np.int64, y1: np.int64, rows: int, columns: int) -> np.bool_:
    return max(x0, x1) >= 0 and max(y0, y1) >= 0 and min(x0, x1) < columns and min(y0, y1) < rows


@compiled
def _draw(
    pixels: NDArray[np.uint8], columns: int, x0: np.int64, y0: np.int64, x1: np.int64, y1: np.int64, grey: int
) -> None:
    """Draw a segment that lies inside, start included, end left out; without branches but the loop's."""
    left, above = (x1 - x0) >> 63, (y1 - y0) >> 63
    width, height = abs(x1 - x0), abs(y1 - y0)
    steep = -np.int64(width <= height)
    step_x, step_y = left | np.int64(1), (columns ^ above) - above
    swap_steps, swap_lengths = (step_x ^ step_y) & steep, (width ^ height) & steep
    along, across = step_x ^ swap_steps, step_y ^ swap_steps
    longer, shorter = width ^ swap_lengths, height ^ swap_lengths
    error = 2 * shorter - longer
    place = y0 * columns + x0
    remaining = longer
    while True:
        for step in range(_STEPS):
            pixels[np.uint64(place)] = grey
            aside = ~(error >> 63)
            # stays on the last pixel when the segment is done
            place += (along + (across & aside)) & ((step + 1 - remaining) >> 63)
            error += 2 * shorter - (2 * longer & aside)
        remaining -= _STEPS
        if remaining <= 0:
            return


@compiled
def _draw_clipped(
    picture: NDArray[np.uint8], x0: np.int64, y0: np.int64, x1: np.int64, y1: np.int64, grey: int
) -> None:
    rows, columns = picture.shape
    width, height = abs(x1 - x0), abs(y1 - y0)
    step_x, step_y = (1 if x1 > x0 else -1), (1 if y1 > y0 else -1)
    flat = width > height
    longer, shorter = (width, height) if flat else (height, width)
    error = 2 * shorter - longer
    x, y = x0, y0
    for _ in range(max(longer, np.int64(1))):
        if 0 <= x < columns and 0 <= y < rows:
            picture[y, x] = grey
        aside = error >= 0
        if flat or aside:
            x += step_x
        if aside or not flat:
            y += step_y
        error += 2 * shorter - (2 * longer if aside else 0)
