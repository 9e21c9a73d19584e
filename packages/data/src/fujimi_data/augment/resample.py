"""Resizes pictures, pixel for pixel as Pillow does: along one axis, then along the other."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.augment.lanes import LANES, to_lanes, to_rows
from fujimi_data.augment.pictures import lines_and_planes
from fujimi_data.augment.weights import PRECISION, filter_number, pixels_needed, resampling_weights
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
    left, top, right, bottom = (float(side) for side in box or (0, 0, columns, rows))
    if not (0 <= left < right <= columns and 0 <= top < bottom <= rows):
        raise ValueError(f"box is {box}; a part of {columns} x {rows} pixels has 0 <= left < right, 0 <= top < bottom")
    window, whole, start = (0, 0, rows, columns), planes.shape[1:], np.int64(0)
    number = filter_number(resampling)
    resize_part(lines, window, planes, (top, left, bottom, right), whole, start, start, (False, False), number)


@compiled
def resize_part(
    lines: _Bytes,
    window: tuple[int, int, int, int],
    out: _Bytes,
    box: tuple[float, float, float, float],
    whole: tuple[int, int],
    row: np.int64,
    column: np.int64,
    flipped: tuple[bool, bool],
    bicubic: int,
) -> None:
    """Resize a window of a picture and write a part of the result.

    Args:
        lines: The picture: shape (rows, columns * channels), channels interleaved.
        window: Top, left, height and width of what is resized; what lies outside of it has no influence.
        out: Filled, shape (channels, new rows, new columns).
        box: Top, left, bottom and right of what is shown of the window [pixels, with the precision of 32 bits].
        whole: Rows and columns that show it.
        row: Of these, the one with which ``out`` begins.
        column: Of these, the one with which ``out`` begins.
        flipped: Whether ``out`` is mirrored horizontally and vertically.
        bicubic: Number of the filter.

    Source:
        Pillow 13.0, ``src/libImaging/Resample.c``, ``ImagingResampleInner``. Up to Pillow 12, columns are resized last
        even where rows shrink by far more: single pixels then differ by one level.
    """
    channels, new_rows, new_columns = out.shape
    top, left, sides = window[0], window[1], window[2:]
    down_first = sides[0] - whole[0] > max(2 * (sides[1] - whole[1]), 0)
    first, end = pixels_needed(sides[0], box[0], box[2], whole[0], int(row), new_rows, bicubic)
    source = lines[top + first : top + end, left * channels : (left + sides[1]) * channels]
    planes = _copied(source[: len(source) if down_first else 0])
    # both axes in one loop: what is done with them is compiled once
    for step in range(2):
        axis = 0 if down_first == (step == 0) else 1
        starts, weights = resampling_weights(
            sides[axis],
            box[axis],
            box[axis + 2],
            whole[axis],
            int(column if axis else row),
            out.shape[1 + axis],
            flipped[1 - axis],
            bicubic,
        )
        if step == 1:
            new_planes = out
        elif axis == 0:
            new_planes = np.empty((1, new_rows, planes.shape[2]), dtype=np.uint8)
        else:
            new_planes = np.empty((channels, len(source), new_columns), dtype=np.uint8)
        _resample(source, planes, new_planes, starts, weights, first, axis)
        planes = new_planes


@compiled
def _copied(lines: _Bytes) -> _Bytes:
    """A plane with the same lines in one piece, which is what the sums are compiled for."""
    copied = np.empty((1, lines.shape[0], lines.shape[1]), dtype=np.uint8)
    for y in range(lines.shape[0]):
        line, copy = lines[y], copied[0, y]
        for x in range(len(copy)):
            copy[x] = line[x]
    return copied


@compiled
def _resample(
    source: _Bytes, planes: _Bytes, out: _Bytes, starts: _Indices, weights: _Indices, first: int, axis: int
) -> None:
    """Resample one axis.

    Args:
        source: Rows of the picture that are needed, channels interleaved; taken if there are no planes yet.
        planes: Shape (planes, rows, columns); for axis 1, one plane with channels interleaved.
        out: Filled, shape (planes, new rows, columns) for axis 0, (channels, rows, new columns) for axis 1.
        starts: From `resampling_weights`.
        weights: From `resampling_weights`.
        first: Row of the picture with which the planes begin.
        axis: 0 or 1.
    """
    rows = out.shape[1]
    block = _BLOCK if axis else rows
    pitch = (min(rows, _BLOCK) + LANES - 1) // LANES * LANES
    # columns that lie a multiple of 64 bytes apart would displace each other from the cache
    pitch += LANES if pitch % 64 == 0 else 0
    lanes = np.empty((source.shape[1] if axis else 0, pitch), dtype=np.uint8)
    new_lanes = np.empty((out.shape[2] if axis else 0, pitch), dtype=np.uint8)
    for y in range(0, rows, block):
        if axis and planes.shape[1]:
            to_lanes(planes[0, y : y + block], lanes)
        elif axis:
            to_lanes(source[y : y + block], lanes)
        for i in range(len(out)):
            if axis:
                _weigh(lanes, len(out), i, starts, weights, new_lanes)
                to_rows(new_lanes, out[i, y : y + block])
            else:
                _weigh(planes[i], 1, -first, starts, weights, out[i])


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
