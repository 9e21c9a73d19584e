"""Affine maps of a picture onto itself, pixel for pixel those of Pillow."""

import math

import numpy as np
from numpy.typing import NDArray

from fujimi_data.augment.interpolation import MARGIN, byte, cubic, cubic_of_pixels, linear, widen
from fujimi_data.augment.lanes import LANES, to_lanes, to_rows
from fujimi_data.augment.slide import slide_lines
from fujimi_data.compiled import compiled

#: ``(a, b, c, d, e, f)``: what is shown at (x, y) is taken from ``(a x + b y + c, d x + e y + f)``.
Matrix = tuple[float, float, float, float, float, float]
# Pixels that are mapped at a time; what is gathered for them stays in the first cache.
_STRIP = 64
_Bytes = NDArray[np.uint8]
_Reals = NDArray[np.float64]


def rotation(degrees: float, *, rows: int, columns: int) -> Matrix:
    """Turn a picture counterclockwise around its centre.

    Source:
        Pillow 13.0, ``Image.rotate``, with its rounding.
    """
    angle = -math.radians(degrees % 360.0)
    cosine, sine = round(math.cos(angle), 15), round(math.sin(angle), 15)
    x, y = columns / 2, rows / 2
    return cosine, sine, cosine * -x + sine * -y + x, -sine, cosine, -sine * -x + cosine * -y + y


@compiled
def transform(planes: _Bytes, matrix: Matrix, fill: tuple[int, int, int], bicubic: int) -> None:
    """Apply a map in place.

    A map that moves pixels along rows only, or along columns only, interpolates in this direction only: in the other
    one it would change nothing.

    Args:
        planes: Shape (channels, rows, columns).
        matrix: From places of the result to places of the picture.
        fill: Values, one for each channel, of what comes from outside of the picture.
        bicubic: 1 for cubic convolution of 4 x 4 pixels, 0 for linear interpolation of 2 x 2.

    Source:
        Pillow 13.0, ``src/libImaging/Geometry.c``: ``affine_transform``, ``bilinear_filter8``, ``bicubic_filter8``.
    """
    channels, rows, columns = planes.shape
    a, b, c, d, e, f = matrix
    along_rows = a == 1.0 and d == 0.0 and e == 1.0 and f == 0.0
    along_columns = a == 1.0 and b == 0.0 and c == 0.0 and e == 1.0
    for channel in range(channels):
        plane = planes[channel]
        if along_rows or along_columns:
            lines = plane
            if not along_rows:
                lines = np.empty((columns, (rows + LANES - 1) // LANES * LANES), dtype=np.uint8)
                to_lanes(plane, lines)
            length, slope, offset = (columns, b, c) if along_rows else (rows, d, f)
            slide_lines(lines, length, slope, offset, fill[channel], bicubic)
            if not along_rows:
                to_rows(lines, plane)
        else:
            _map(plane, matrix, fill[channel], bicubic)


@compiled
def _map(plane: _Bytes, matrix: Matrix, fill: int, bicubic: int) -> None:
    rows, columns = plane.shape
    wide = np.empty((rows + 2 * MARGIN, columns + 2 * MARGIN), dtype=np.uint8)
    for y in range(len(wide)):
        widen(plane[min(max(y - MARGIN, 0), rows - 1)], wide[y])
    at = np.empty(_STRIP, dtype=np.int32)
    parts = np.empty((2, _STRIP))
    near = np.empty((4, _STRIP), dtype=np.uint32)
    for y in range(rows):
        first, end = 0, columns
        while first < end and not _inside(matrix, first, y, rows, columns):
            first += 1
        while first < end and not _inside(matrix, end - 1, y, rows, columns):
            end -= 1
        plane[y, :first] = fill
        plane[y, end:] = fill
        for x in range(first, end, _STRIP):
            strip = plane[y, x : min(x + _STRIP, end)]
            _locate(matrix, x, y, wide.shape[1], at[: len(strip)], parts[0], parts[1])
            _gather(wide, at[: len(strip)], near)
            _interpolate(near, parts[0], parts[1], strip, bicubic)


@compiled
def _inside(matrix: Matrix, x: int, y: int, rows: int, columns: int) -> bool:
    a, b, c, d, e, f = matrix
    from_x = a * (x + 0.5) + b * (y + 0.5) + c
    from_y = d * (x + 0.5) + e * (y + 0.5) + f
    return 0.0 <= from_x < columns and 0.0 <= from_y < rows


@compiled
def _locate(
    matrix: Matrix, first: int, y: int, pitch: int, at: NDArray[np.int32], asides: _Reals, downs: _Reals
) -> None:
    """Write where the 4 x 4 pixels around each place begin, and how far it is from the second of them."""
    a, b, c, d, e, f = matrix
    for i in range(len(at)):
        x = np.float64(np.int32(first + i))
        from_x = (a * (x + 0.5) + b * (y + 0.5) + c) - 0.5
        from_y = (d * (x + 0.5) + e * (y + 0.5) + f) - 0.5
        column, row = np.floor(from_x), np.floor(from_y)
        asides[i], downs[i] = from_x - column, from_y - row
        at[i] = np.int32((row + 1.0) * pitch + (column + 1.0))


@compiled
def _gather(wide: _Bytes, at: NDArray[np.int32], near: NDArray[np.uint32]) -> None:
    """Write four neighbours of a row into one word, the first one lowest."""
    pixels = wide.reshape(-1)
    pitch = np.uint64(wide.shape[1])
    for i in range(len(at)):
        place = np.uint64(at[i])
        for row in range(4):
            near[row, i] = (
                np.uint32(pixels[place])
                | (np.uint32(pixels[place + np.uint64(1)]) << np.uint32(8))
                | (np.uint32(pixels[place + np.uint64(2)]) << np.uint32(16))
                | (np.uint32(pixels[place + np.uint64(3)]) << np.uint32(24))
            )
            place += pitch


@compiled
def _interpolate(near: NDArray[np.uint32], asides: _Reals, downs: _Reals, out: _Bytes, bicubic: int) -> None:
    if bicubic:
        for i in range(len(out)):
            out[i] = byte(
                cubic(
                    _cubic_of_word(near[0, i], asides[i]),
                    _cubic_of_word(near[1, i], asides[i]),
                    _cubic_of_word(near[2, i], asides[i]),
                    _cubic_of_word(near[3, i], asides[i]),
                    downs[i],
                )
            )
    else:
        for i in range(len(out)):
            out[i] = byte(
                linear(_linear_of_word(near[1, i], asides[i]), _linear_of_word(near[2, i], asides[i]), downs[i])
            )


@compiled
def _cubic_of_word(word: np.uint32, aside: float) -> float:
    return cubic_of_pixels(_pixel(word, 0), _pixel(word, 1), _pixel(word, 2), _pixel(word, 3), aside)


@compiled
def _linear_of_word(word: np.uint32, aside: float) -> float:
    return linear(np.float64(_pixel(word, 1)), np.float64(_pixel(word, 2)), aside)


@compiled
def _pixel(word: np.uint32, place: int) -> np.int32:
    return np.int32((word >> np.uint32(8 * place)) & np.uint32(255))
