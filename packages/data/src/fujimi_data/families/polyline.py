"""Closed polylines, one pixel wide, pixel for pixel those of Pillow."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled

#: Bytes of a grey picture, or red, green and blue in the low bytes of 32 bits.
Inks = NDArray[np.uint8] | NDArray[np.uint32]

# Steps aside are counted in fractions of a pixel. A step that is rounded up goes astray by less than one fraction, a
# segment by less than its length of them; that is never as far as to the next pixel up to 741,000 pixels.
_FRACTION_BITS = 40
_ONE = 2.0**_FRACTION_BITS
_HALF = 1 << _FRACTION_BITS - 1


@compiled
def draw_closed_polyline(picture: Inks, x: NDArray[np.int32], y: NDArray[np.int32], ink: int) -> None:
    """Join each point to the next and the last to the first.

    The end of a segment is the start of the next, so only starts are drawn.

    Args:
        picture: Of shape (rows, columns), drawn into; what lies outside of it is left out.
        x: Column of each point, less than 741,000 from its neighbours.
        y: Row of each point, likewise.
        ink: What is written into pixels.

    Source:
        Segments are those of Pillow's ``ImageDraw.line``: J. E. Bresenham, "Algorithm for computer control of a digital
        plotter", IBM Systems Journal 4 (1965) 25, with ties away from the start. After k steps along, these are the k
        times slope, rounded, aside.
    """
    rows, columns = picture.shape
    pixels = picture.reshape(-1)
    x0, y0 = np.int64(x[-1]), np.int64(y[-1])
    outside_0 = _outside(x0, y0, rows, columns)
    # the last pixels drawn win, but all have one ink: the closing segment may come first
    for i in range(len(x)):
        x1, y1 = np.int64(x[i]), np.int64(y[i])
        outside_1 = _outside(x1, y1, rows, columns)
        if not outside_0 | outside_1:
            _draw(pixels, columns, x0, y0, x1, y1, ink)
        elif _near(x0, y0, x1, y1, rows, columns):
            _draw_clipped(pixels, rows, columns, x0, y0, x1, y1, ink)
        x0, y0, outside_0 = x1, y1, outside_1


@compiled
def _outside(x: np.int64, y: np.int64, rows: int, columns: int) -> bool:
    return bool((np.uint64(x) >= np.uint64(columns)) | (np.uint64(y) >= np.uint64(rows)))


@compiled
def _near(x0: np.int64, y0: np.int64, x1: np.int64, y1: np.int64, rows: int, columns: int) -> bool:
    return bool(max(x0, x1) >= 0 and max(y0, y1) >= 0 and min(x0, x1) < columns and min(y0, y1) < rows)


@compiled
def _draw(pixels: Inks, columns: int, x0: np.int64, y0: np.int64, x1: np.int64, y1: np.int64, ink: int) -> None:
    """Draw a segment that lies inside, start included, end left out; without branches but the loop's."""
    left, above = (x1 - x0) >> 63, (y1 - y0) >> 63
    width, height = abs(x1 - x0), abs(y1 - y0)
    steep = -np.int64(width <= height)
    step_x, step_y = left | np.int64(1), (columns ^ above) - above
    swap_steps, swap_lengths = (step_x ^ step_y) & steep, (width ^ height) & steep
    longer, shorter = width ^ swap_lengths, height ^ swap_lengths
    longer += longer == 0
    along, across = step_x ^ swap_steps, step_y ^ swap_steps
    _walk(pixels, y0 * columns + x0, longer, along, across, np.int64(_HALF), _slope(shorter, longer), ink)


@compiled
def _draw_clipped(
    pixels: Inks, rows: int, columns: int, x0: np.int64, y0: np.int64, x1: np.int64, y1: np.int64, ink: int
) -> None:
    """Draw those pixels of a segment that lie inside; it is at least one long."""
    width, height = abs(x1 - x0), abs(y1 - y0)
    steep = width <= height
    longer, shorter = (height, width) if steep else (width, height)
    slope = _slope(shorter, longer)
    behind_x, ahead_x = _borders(x0, x1, columns)
    behind_y, ahead_y = _borders(y0, y1, rows)
    behind, ahead = (behind_y, ahead_y) if steep else (behind_x, ahead_x)
    behind_aside, ahead_aside = (behind_x, ahead_x) if steep else (behind_y, ahead_y)
    if behind_aside > shorter:
        return
    # of k steps along, k slope + half, rounded down, are the steps aside
    first, end = max(np.int64(0), behind), min(longer, ahead + 1)
    if behind_aside > 0:
        first = max(first, ((behind_aside << _FRACTION_BITS) - _HALF + slope - 1) // slope)
    if ahead_aside < shorter:
        end = min(end, ((ahead_aside + 1 << _FRACTION_BITS) - _HALF - 1) // slope + 1)
    if first >= end:
        return
    step_x, step_y = np.int64(1 if x1 > x0 else -1), np.int64(columns if y1 > y0 else -columns)
    along, across = (step_y, step_x) if steep else (step_x, step_y)
    place = y0 * columns + x0 + first * along
    _walk(pixels, place, end - first, along, across, _HALF + first * slope, slope, ink)


@compiled
def _slope(shorter: np.int64, longer: np.int64) -> np.int64:
    """Fractions aside for a step along, rounded up."""
    return np.int64(shorter * _ONE / longer) + np.int64(1)


@compiled
def _borders(start: np.int64, end: np.int64, length: int) -> tuple[np.int64, np.int64]:
    """Steps from a start to the first place inside and to the last, towards an end."""
    if end < start:
        return start - (length - 1), start
    return -start, length - 1 - start


@compiled
def _walk(
    pixels: Inks,
    place: np.int64,
    steps: np.int64,
    along: np.int64,
    across: np.int64,
    aside: np.int64,
    slope: np.int64,
    ink: int,
) -> None:
    # ended by the place and not by a count, or the loop is unrolled, which costs more than short segments take
    last = place + steps * along
    while True:
        pixels[np.uint64(place + (aside >> _FRACTION_BITS) * across)] = ink
        place += along
        aside += slope
        if place == last:
            return
