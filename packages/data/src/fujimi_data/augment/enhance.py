"""Colour and sharpness: blends of a picture with its grey or its smooth version, pixel for pixel those of Pillow."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.augment.grey import luma
from fujimi_data.augment.interpolation import MARGIN, widen
from fujimi_data.augment.pointwise import blend
from fujimi_data.compiled import compiled

# A pixel weighs five times as much as each of its eight neighbours.
_BESIDE, _CENTRE = np.float32(np.float32(1) / np.float32(13)), np.float32(np.float32(5) / np.float32(13))
_Bytes = NDArray[np.uint8]


@compiled
def change_colour(planes: _Bytes, factor: np.float32) -> None:
    """Blend a picture's grey version, at factor 0, with itself, at 1, in place; a grey picture stays as it is.

    Args:
        planes: Shape (channels, rows, columns).
        factor: At least 0; above 1 colours grow.

    Source:
        Pillow 13.0, ``ImageEnhance.Color``.
    """
    if len(planes) != 3:
        return
    red, green, blue = planes[0].reshape(-1), planes[1].reshape(-1), planes[2].reshape(-1)
    for i in range(len(red)):
        grey = luma(np.int32(red[i]), np.int32(green[i]), np.int32(blue[i]))
        red[i] = blend(grey, np.int32(red[i]), factor)
        green[i] = blend(grey, np.int32(green[i]), factor)
        blue[i] = blend(grey, np.int32(blue[i]), factor)


@compiled
def change_sharpness(planes: _Bytes, factor: np.float32) -> None:
    """Blend a picture's smooth version, at factor 0, with itself, at 1, in place; its outermost pixels stay.

    Args:
        planes: Shape (channels, rows, columns).
        factor: At least 0; above 1 edges grow.

    Source:
        Pillow 13.0, ``ImageEnhance.Sharpness``, ``ImageFilter.SMOOTH`` and ``src/libImaging/Filter.c``, whose order of
        additions in 32 bits is kept.
    """
    channels, rows, columns = planes.shape
    if rows < 3 or columns < 3:
        return
    lines = np.empty((3, columns + 2 * MARGIN), dtype=np.uint8)
    for channel in range(channels):
        plane = planes[channel]
        above, here, below = lines[0], lines[1], lines[2]
        widen(plane[0], above)
        widen(plane[1], here)
        for y in range(1, rows - 1):
            widen(plane[y + 1], below)
            left, right = plane[y, 0], plane[y, -1]
            _sharpen(above, here, below, plane[y], factor)
            plane[y, 0], plane[y, -1] = left, right
            above, here, below = here, below, above


@compiled
def _sharpen(above: _Bytes, here: _Bytes, below: _Bytes, out: _Bytes, factor: np.float32) -> None:
    for x in range(len(out)):
        at = x + MARGIN
        smooth = np.float32(0.5) + _three(below[at - 1], below[at], below[at + 1], _BESIDE)
        smooth += _three(here[at - 1], here[at], here[at + 1], _CENTRE)
        smooth += _three(above[at - 1], above[at], above[at + 1], _BESIDE)
        out[x] = blend(np.int32(smooth), np.int32(here[at]), factor)


@compiled
def _three(left: np.uint8, middle: np.uint8, right: np.uint8, weight: np.float32) -> np.float32:
    sides = np.float32(left) * _BESIDE + np.float32(middle) * weight
    return np.float32(sides + np.float32(right) * _BESIDE)
