"""Windows: parts of a picture, copied as they are; what lies outside of the picture has one colour."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled

_Bytes = NDArray[np.uint8]


@compiled
def copy_window(lines: _Bytes, out: _Bytes, top: int, left: int, flipped: tuple[bool, bool], fill: int) -> None:
    """Copy a window of a picture.

    Args:
        lines: The picture: shape (rows, columns * channels), channels interleaved.
        out: Filled, shape (channels, rows of the window, columns of the window).
        top: Row of the picture where the window begins; it may be negative.
        left: Column of the picture where the window begins; it may be negative.
        flipped: Whether ``out`` is mirrored horizontally and vertically.
        fill: Value of what lies outside of the picture.
    """
    channels, new_rows, new_columns = out.shape
    rows, columns = lines.shape[0], lines.shape[1] // channels
    begin, end = max(0, -left), min(new_columns, columns - left)
    for channel in range(channels):
        for y in range(new_rows):
            to = out[channel, new_rows - 1 - y if flipped[1] else y]
            inside = 0 <= top + y < rows and begin < end
            if begin > 0 or end < new_columns or not inside:
                to[:] = fill
            if inside:
                line = lines[top + y, (left + begin) * channels + channel : (left + end) * channels]
                if flipped[0]:
                    _copy(line, channels, to[new_columns - end : new_columns - begin][::-1])
                else:
                    _copy(line, channels, to[begin:end])


@compiled
def _copy(line: _Bytes, channels: int, to: _Bytes) -> None:
    if channels == 1:
        for x in range(len(to)):
            to[x] = line[x]
    else:
        for x in range(len(to)):
            to[x] = line[x * channels]
