"""Weights of a resampled line: Pillow's antialiased filters in fixed point."""

import math

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled

#: Weights are whole multiples of ``2**-PRECISION``.
PRECISION = 22
#: Names of the filters, by their numbers.
FILTERS = ("bilinear", "bicubic")

_Indices = NDArray[np.int32]


def filter_number(name: str) -> int:
    """Number of a filter.

    Raises:
        ValueError: If the resampling is unknown.
    """
    if name not in FILTERS:
        raise ValueError(f"resampling is {name!r}; known: {', '.join(FILTERS)}")
    return FILTERS.index(name)


@compiled
def resampling_weights(
    length: int, begin: float, end: float, whole: int, first: int, count: int, flipped: bool, bicubic: int
) -> tuple[_Indices, _Indices]:
    """Which pixels of a line make each pixel of another line, and how much of each.

    Pixel i of the new line lies at ``c = begin + (i + 1/2) s`` with ``s = (end - begin) / whole``; a pixel x of the old
    one weighs ``f((x + 1/2 - c) / max(s, 1))``, and all weights of a new pixel are scaled to the sum 1 before they are
    rounded.

    Args:
        length: Of the old line [pixels].
        begin: Where the part of the old line that is shown begins, from 0, with the precision of 32 bits.
        end: Where it ends, at most ``length``.
        whole: Pixels that show this part.
        first: Pixel of these with which the new line begins.
        count: Pixels of the new line.
        flipped: Give the new line from its last pixel to its first.
        bicubic: 1 for cubic convolution with a = -1/2, 0 for a triangle.

    Returns:
        The first old pixel of each new one, shape (count,); and the weights of this and the pixels after it, shape
        (taps, count), with zeros where there are no more pixels: taps is 2, 3 or even.

    Source:
        Pillow 13.0, ``src/libImaging/Resample.c``, ``precompute_coeffs`` and ``normalize_coeffs_8bpc``.
    """
    scale = np.float64(np.float32(end) - np.float32(begin)) / whole
    support = _support(scale, bicubic)
    centres = np.empty(count)
    starts = np.empty(count, dtype=np.int32)
    ends = np.empty(count, dtype=np.int32)
    taps = 0
    for i in range(count):
        centre = _centre(begin, scale, first + (count - 1 - i if flipped else i))
        centres[i] = centre
        starts[i], ends[i] = _reach(centre, support, length)
        taps = max(taps, int(ends[i] - starts[i]))
    taps = max(taps, 2) if taps <= 4 else (taps + 1) // 2 * 2
    return starts, _rounded(_shares(centres, starts, ends, 1.0 / max(scale, 1.0), taps, bicubic))


@compiled
def pixels_needed(
    length: int, begin: float, end: float, whole: int, first: int, count: int, bicubic: int
) -> tuple[int, int]:
    """First pixel of a line that `resampling_weights` has weights for, and the one after the last."""
    scale = np.float64(np.float32(end) - np.float32(begin)) / whole
    support = _support(scale, bicubic)
    start, _ = _reach(_centre(begin, scale, first), support, length)
    _, end_of_last = _reach(_centre(begin, scale, first + count - 1), support, length)
    return int(start), int(end_of_last)


@compiled
def _support(scale: float, bicubic: int) -> float:
    return (2.0 if bicubic else 1.0) * max(scale, 1.0)


@compiled
def _centre(begin: float, scale: float, pixel: int) -> float:
    # whole numbers of 32 bits turn into fractions several at a time, those of 64 do not
    return np.float64(np.float32(begin)) + (np.float64(np.int32(pixel)) + 0.5) * scale


@compiled
def _reach(centre: float, support: float, length: int) -> tuple[np.int32, np.int32]:
    start, end = np.int32(centre - support + 0.5), np.int32(centre + support + 0.5)
    return max(start, np.int32(0)), min(end, np.int32(length))


@compiled
def _shares(
    centres: NDArray[np.float64], starts: _Indices, ends: _Indices, shrink: float, taps: int, bicubic: int
) -> NDArray[np.float64]:
    """Weights before rounding; they are not yet scaled, and their sums stand in the last row."""
    count = len(centres)
    shares = np.zeros((taps + 1, count))
    sums = shares[taps]
    for tap in range(taps):
        row = shares[tap]
        for i in range(count):
            pixel = np.int32(starts[i] + tap)
            distance = abs((np.float64(pixel) - centres[i] + 0.5) * shrink)
            share = _cubic(distance) if bicubic else max(1.0 - distance, 0.0)
            row[i] = share if pixel < ends[i] else 0.0
            sums[i] += row[i]
    return shares


@compiled
def _cubic(x: float) -> float:
    near = ((-0.5 + 2.0) * x - (-0.5 + 3.0)) * x * x + 1.0
    far = (((x - 5.0) * x + 8.0) * x - 4.0) * -0.5
    return near if x < 1.0 else (far if x < 2.0 else 0.0)


@compiled
def _rounded(shares: NDArray[np.float64]) -> _Indices:
    taps, count = shares.shape[0] - 1, shares.shape[1]
    weights = np.empty((taps, count), dtype=np.int32)
    sums = shares[taps]
    for tap in range(taps):
        share, weight = shares[tap], weights[tap]
        for i in range(count):
            scaled = share[i] / sums[i] * (1 << PRECISION)
            weight[i] = np.int32(scaled + math.copysign(0.5, scaled))
    return weights
