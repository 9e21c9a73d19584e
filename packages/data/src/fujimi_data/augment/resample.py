"""Resizes pictures, pixel for pixel as Pillow does: along one axis, then along the other."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.augment.lanes import LANES, to_lanes, to_rows
from fujimi_data.augment.pictures import lines_and_planes
from fujimi_data.augment.weights import PRECISION, filter_number, resampling_weights
from fujimi_data.compiled import compiled

# Rows that are resampled at a time: their lanes stay in a core's second cache.
_BLOCK = 256
_HALF = 1 << (PRECISION - 1)
_Bytes = NDArray[np.uint8]
_Indices = NDArray[np.int32]


def resize(
    picture: _Bytes, out: _Bytes, *, box: tuple[float, float, float, float] | None = None, resampling: str = "bilinear"
) -> None:
    """Resize a picture, or a part of it, to the size of ``out``.

    Args:
        picture: Shape (rows, columns), or (rows, columns, 3).
        out: Filled, shape (new rows, new columns), or (3, new rows, new columns).
        box: Left, top, right and bottom of the part, in the order of Pillow [pixels]; pixels outside of it that lie
            near take part, unlike those that were cut off before.
        resampling: ``bilinear`` or ``bicubic``.

    Raises:
        ValueError: If shapes do not belong together, the box is empty or reaches outside, or the resampling is unknown.
    """
    lines, planes = lines_and_planes(picture, out)
    rows, columns = picture.shape[:2]
    left, top, right, bottom = (0.0, 0.0, float(columns), float(rows)) if box is None else box
    if not (0 <= left < right <= columns and 0 <= top < bottom <= rows):
        raise ValueError(f"box is {box}; a part of {columns} x {rows} pixels has 0 <= left < right, 0 <= top < bottom")
    resize_part(
        lines, planes, (top, left, bottom, right), planes.shape[1:], (0, 0), (False, False), filter_number(resampling)
    )


@compiled
def resize_part(
    lines: _Bytes,
    out: _Bytes,
    box: tuple[float, float, float, float],
    whole: tuple[int, int],
    offset: tuple[int, int],
    flipped: tuple[bool, bool],
    bicubic: int,
) -> None:
    """Resize a picture and write a part of the result.

    Args:
        lines: The picture: shape (rows, columns * channels), channels interleaved.
        out: Filled, shape (channels, new rows, new columns).
        box: Top, left, bottom and right of what is shown of the picture [pixels, with the precision of 32 bits].
        whole: Rows and columns that show it.
        offset: Row and column of these with which ``out`` begins.
        flipped: Whether ``out`` is mirrored horizontally and vertically.
        bicubic: Number of the filter.

    Source:
        Pillow 13.0, ``src/libImaging/Resample.c``, ``ImagingResampleInner``. Up to Pillow 12, columns are resized last
        even where rows shrink by far more: single pixels then differ by one level.
    """
    channels, new_rows, new_columns = out.shape
    rows, columns = lines.shape[0], lines.shape[1] // channels
    down = resampling_weights(rows, box[0], box[2], whole[0], offset[0], new_rows, flipped[1], bicubic)
    across = resampling_weights(columns, box[1], box[3], whole[1], offset[1], new_columns, flipped[0], bicubic)
    down_first = rows - whole[0] > max(2 * (columns - whole[1]), 0)
    first = min(down[0][0], down[0][-1])
    last = min(max(down[0][0], down[0][-1]) + len(down[1]), rows)
    planes = _copied(lines[first:last])
    for step in range(2):
        if down_first == (step == 0):
            shorter = out if step else np.empty((1, new_rows, planes.shape[2]), dtype=np.uint8)
            for plane in range(len(planes)):
                _weigh(planes[plane], 1, -first, down[0], down[1], shorter[plane])
            planes = shorter
        else:
            narrower = out if step else np.empty((channels, planes.shape[1], new_columns), dtype=np.uint8)
            _resample_rows(planes[0], narrower, across[0], across[1])
            planes = narrower


@compiled
def _copied(lines: _Bytes) -> _Bytes:
    """The same in one piece, so that the rest is compiled for such only."""
    copied = np.empty((1, lines.shape[0], lines.shape[1]), dtype=np.uint8)
    for y in range(lines.shape[0]):
        line, copy = lines[y], copied[0, y]
        for x in range(len(copy)):
            copy[x] = line[x]
    return copied


@compiled
def _resample_rows(lines: _Bytes, out: _Bytes, starts: _Indices, weights: _Indices) -> None:
    """Resample interleaved rows of shape (rows, columns * channels) to planes (channels, rows, new columns)."""
    channels, _, new_columns = out.shape
    rows, columns = lines.shape
    pitch = min((rows + LANES - 1) // LANES * LANES, _BLOCK)
    # columns that lie a multiple of 64 bytes apart would displace each other from the cache
    pitch += LANES if pitch % 64 == 0 else 0
    lanes = np.empty((columns, pitch), dtype=np.uint8)
    new_lanes = np.empty((new_columns, pitch), dtype=np.uint8)
    for y in range(0, rows, _BLOCK):
        to_lanes(lines[y : y + _BLOCK], lanes)
        for channel in range(channels):
            _weigh(lanes, channels, channel, starts, weights, new_lanes)
            to_rows(new_lanes, out[channel, y : y + _BLOCK])


@compiled
def _weigh(lines: _Bytes, stride: int, offset: int, starts: _Indices, weights: _Indices, out: _Bytes) -> None:
    """Write line i of ``out``: the sum of lines ``(starts[i] + tap) * stride + offset`` with their weights.

    Lines that are not there have the weight 0.
    """
    taps, end = len(weights), len(lines)
    sums = np.empty(out.shape[1] if taps > 4 else 0, dtype=np.int32)
    for i in range(len(out)):
        at = starts[i] * stride + offset
        if taps == 2:
            _weigh_2(lines[at], lines[min(at + stride, end - 1)], weights[0, i], weights[1, i], out[i])
        elif taps == 3:
            _weigh_3(
                lines[at],
                lines[min(at + stride, end - 1)],
                lines[min(at + 2 * stride, end - 1)],
                weights[0, i],
                weights[1, i],
                weights[2, i],
                out[i],
            )
        elif taps == 4:
            _weigh_4(
                lines[at],
                lines[min(at + stride, end - 1)],
                lines[min(at + 2 * stride, end - 1)],
                lines[min(at + 3 * stride, end - 1)],
                weights[0, i],
                weights[1, i],
                weights[2, i],
                weights[3, i],
                out[i],
            )
        else:
            sums[:] = _HALF
            for tap in range(0, taps, 2):
                one, other = min(at + tap * stride, end - 1), min(at + (tap + 1) * stride, end - 1)
                _add_2(lines[one], lines[other], weights[tap, i], weights[tap + 1, i], sums)
            _clip(sums, out[i])


@compiled
def _weigh_2(line_0: _Bytes, line_1: _Bytes, weight_0: np.int32, weight_1: np.int32, out: _Bytes) -> None:
    for x in range(len(out)):
        out[x] = _clipped(np.int32(_two(line_0[x], line_1[x], weight_0, weight_1) + np.int32(_HALF)))


@compiled
def _weigh_3(
    line_0: _Bytes,
    line_1: _Bytes,
    line_2: _Bytes,
    weight_0: np.int32,
    weight_1: np.int32,
    weight_2: np.int32,
    out: _Bytes,
) -> None:
    for x in range(len(out)):
        first = _two(line_0[x], line_1[x], weight_0, weight_1)
        second = np.int32(np.int32(line_2[x]) * weight_2)
        out[x] = _clipped(np.int32(np.int32(first + second) + np.int32(_HALF)))


@compiled
def _weigh_4(
    line_0: _Bytes,
    line_1: _Bytes,
    line_2: _Bytes,
    line_3: _Bytes,
    weight_0: np.int32,
    weight_1: np.int32,
    weight_2: np.int32,
    weight_3: np.int32,
    out: _Bytes,
) -> None:
    for x in range(len(out)):
        first = _two(line_0[x], line_1[x], weight_0, weight_1)
        second = _two(line_2[x], line_3[x], weight_2, weight_3)
        out[x] = _clipped(np.int32(np.int32(first + second) + np.int32(_HALF)))


@compiled
def _add_2(line_0: _Bytes, line_1: _Bytes, weight_0: np.int32, weight_1: np.int32, sums: _Indices) -> None:
    for x in range(len(sums)):
        sums[x] += _two(line_0[x], line_1[x], weight_0, weight_1)


@compiled
def _clip(sums: _Indices, out: _Bytes) -> None:
    for x in range(len(out)):
        out[x] = _clipped(sums[x])


@compiled
def _two(pixel_0: np.uint8, pixel_1: np.uint8, weight_0: np.int32, weight_1: np.int32) -> np.int32:
    # each step in 32 bits, as numba would take 64: half as many pixels at a time
    return np.int32(np.int32(np.int32(pixel_0) * weight_0) + np.int32(np.int32(pixel_1) * weight_1))


@compiled
def _clipped(weighed: np.int32) -> np.uint8:
    value = np.int32(weighed >> np.int32(PRECISION))
    return np.uint8(min(max(value, np.int32(0)), np.int32(255)))
