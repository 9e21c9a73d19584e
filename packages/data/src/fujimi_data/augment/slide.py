"""Moves lines of pixels along themselves: shears and translations, which interpolate in one direction only."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.augment.interpolation import MARGIN, byte, cubic_of_pixels, linear, widen
from fujimi_data.compiled import compiled

# Nearer than this to a whole pixel, rounding decides which pixels are read, and each place is looked at by itself.
_UNSURE = 1e-9
_Bytes = NDArray[np.uint8]


@compiled
def slide_lines(lines: _Bytes, length: int, slope: float, offset: float, fill: int, bicubic: int) -> None:
    """Take pixel x of line y from ``x + slope y + offset``, in place.

    Args:
        lines: Shape (lines, at least length); what lies beyond is left alone.
        length: Pixels of a line.
        slope: Of the movement.
        offset: Of the movement.
        fill: Value of what comes from outside of the line.
        bicubic: 1 for cubic convolution of four pixels, 0 for linear interpolation of two.
    """
    wide = np.empty(length + 2 * MARGIN, dtype=np.uint8)
    for y in range(len(lines)):
        line = lines[y, :length]
        widen(line, wide)
        move = slope * (y + 0.5)
        shift = np.floor(move + offset)
        if _UNSURE < move + offset - shift < 1.0 - _UNSURE:
            # the pixels whose neighbours, which begin one before x + shift, lie within the margins
            first = min(max(-1 - int(shift), 0), length)
            end = max(min(length - int(shift), length), first)
            line[:first] = fill
            line[end:] = fill
            near = wide[min(first + int(shift) + 1, length) :]
            _slide(near, line[first:end], first, shift, move, offset, length, fill, bicubic)
        else:
            for x in range(length):
                line[x] = _along(wide, ((x + 0.5) + move) + offset, length, fill, bicubic)


@compiled
def _slide(
    near: _Bytes,
    line: _Bytes,
    first: int,
    shift: float,
    move: float,
    offset: float,
    length: int,
    fill: int,
    bicubic: int,
) -> None:
    """Interpolate pixels whose neighbours lie side by side, four from ``near[i]`` on for pixel i."""
    for i in range(len(line)):
        x = np.float64(np.int32(first + i))
        place = ((x + 0.5) + move) + offset
        aside = (place - 0.5) - (x + shift)
        value = _interpolated(near, i, aside, bicubic)
        line[i] = value if 0.0 <= place < length else np.uint8(fill)


@compiled
def _along(wide: _Bytes, place: float, length: int, fill: int, bicubic: int) -> np.uint8:
    if not 0.0 <= place < length:
        return np.uint8(fill)
    floor = np.floor(place - 0.5)
    return _interpolated(wide, int(floor) + 1, (place - 0.5) - floor, bicubic)


@compiled
def _interpolated(pixels: _Bytes, i: int, aside: float, bicubic: int) -> np.uint8:
    pixel_1, pixel_2 = np.int32(pixels[i + 1]), np.int32(pixels[i + 2])
    if bicubic:
        return byte(cubic_of_pixels(np.int32(pixels[i]), pixel_1, pixel_2, np.int32(pixels[i + 3]), aside))
    return byte(linear(np.float64(pixel_1), np.float64(pixel_2), aside))
