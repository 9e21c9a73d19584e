"""Operations that change each value by itself, pixel for pixel those of Pillow."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.augment.grey import luma
from fujimi_data.compiled import compiled

#: Numbers of the operations.
AUTO_CONTRAST, EQUALIZE, INVERT, POSTERIZE, SOLARIZE, SOLARIZE_ADD, CONTRAST, BRIGHTNESS = range(8)
_VALUES = 256
_Bytes = NDArray[np.uint8]
_Counts = NDArray[np.int64]


@compiled
def change_values(planes: _Bytes, operation: int, argument: float) -> None:
    """Apply an operation in place.

    Args:
        planes: Shape (channels, rows, columns).
        operation: Its number.
        argument: Bits that `POSTERIZE` keeps, 0 to 8; value from which `SOLARIZE` inverts, 0 to 256; what
            `SOLARIZE_ADD` adds to values below 128, at most 128; factor of `CONTRAST` or `BRIGHTNESS`; or else 0.

    Source:
        Pillow 13.0, ``ImageOps.autocontrast, equalize, invert, posterize, solarize`` and
        ``ImageEnhance.Contrast, Brightness``; ``solarize_add`` is that of timm 1.0, ``auto_augment.py``. That 0 bits
        leave black is what timm counts on, and Pillow 13 refuses.
    """
    middle = _mean_grey(planes) if operation == CONTRAST else 0
    for channel in range(len(planes)):
        values = planes[channel].reshape(-1)
        if operation == AUTO_CONTRAST:
            _look_up(values, _auto_contrast(_histogram(values)))
        elif operation == EQUALIZE:
            _look_up(values, _equalized(_histogram(values)))
        elif operation in (CONTRAST, BRIGHTNESS):
            _blend_with(values, middle, np.float32(argument))
        else:
            _step(values, _stepping(operation, int(argument)))


@compiled
def blend(first: np.int32, second: np.int32, factor: np.float32) -> np.uint8:
    """``first + factor (second - first)``, cut off to a whole number from 0 to 255.

    Source:
        Pillow 13.0, ``src/libImaging/Blend.c``, in 32 bits as there.
    """
    blended = np.float32(np.float32(first) + np.float32(factor * np.float32(np.int32(second - first))))
    return np.uint8(np.int32(min(max(blended, np.float32(0)), np.float32(255))))


@compiled
def _blend_with(values: _Bytes, middle: int, factor: np.float32) -> None:
    for i in range(len(values)):
        values[i] = blend(np.int32(middle), np.int32(values[i]), factor)


@compiled
def _stepping(operation: int, argument: int) -> tuple[int, int, int, int]:
    """Threshold, bits that change from there on, what is added below, and bits that are kept in the end."""
    if operation == POSTERIZE:
        return 0, 0, 0, _VALUES - (1 << (8 - argument))
    if operation == SOLARIZE:
        # a threshold beyond all values
        return (argument, 255, 0, 255) if argument < _VALUES else (0, 0, 0, 255)
    if operation == SOLARIZE_ADD:
        return 128, 0, argument, 255
    return 0, 255, 0, 255


@compiled
def _step(values: _Bytes, stepping: tuple[int, int, int, int]) -> None:
    # all in bytes, so that a register holds as many of them as there can be: 127 + 128 is no more than a byte
    threshold, flip = np.uint8(stepping[0]), np.uint8(stepping[1])
    add, keep = np.uint8(stepping[2]), np.uint8(stepping[3])
    for i in range(len(values)):
        value = values[i]
        above, below = np.uint8(value ^ flip), np.uint8(value + add)
        values[i] = np.uint8((above if value >= threshold else below) & keep)


@compiled
def _look_up(values: _Bytes, table: _Bytes) -> None:
    for i in range(len(values)):
        values[i] = table[values[i]]


@compiled
def _auto_contrast(counts: _Counts) -> _Bytes:
    table = np.arange(_VALUES).astype(np.uint8)
    low, high = 0, _VALUES - 1
    while counts[low] == 0:
        low += 1
    while counts[high] == 0:
        high -= 1
    if high > low:
        scale = 255.0 / (high - low)
        offset = -low * scale
        for value in range(_VALUES):
            table[value] = min(max(int(value * scale + offset), 0), 255)
    return table


@compiled
def _equalized(counts: _Counts) -> _Bytes:
    table = np.arange(_VALUES).astype(np.uint8)
    last = _VALUES - 1
    while counts[last] == 0:
        last -= 1
    step = (counts.sum() - counts[last]) // 255
    if step > 0:
        below = step // 2
        for value in range(_VALUES):
            table[value] = min(below // step, 255)
            below += counts[value]
    return table


@compiled
def _histogram(values: _Bytes) -> _Counts:
    # four by turns: neighbours are often equal, and a sum that was just written is slow to read
    counts = np.zeros((4, _VALUES), dtype=np.int64)
    whole = len(values) // 4 * 4
    for i in range(0, whole, 4):
        counts[0, values[i]] += 1
        counts[1, values[i + 1]] += 1
        counts[2, values[i + 2]] += 1
        counts[3, values[i + 3]] += 1
    for i in range(whole, len(values)):
        counts[0, values[i]] += 1
    total: _Counts = counts[0] + counts[1] + counts[2] + counts[3]
    return total


@compiled
def _mean_grey(planes: _Bytes) -> int:
    """Mean of the picture in grey, rounded."""
    rows, columns = planes.shape[1], planes.shape[2]
    total = 0
    for y in range(rows):
        for x in range(columns):
            if len(planes) == 3:
                total += int(luma(np.int32(planes[0, y, x]), np.int32(planes[1, y, x]), np.int32(planes[2, y, x])))
            else:
                total += planes[0, y, x]
    return int(total / (rows * columns) + 0.5)
