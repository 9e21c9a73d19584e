"""Turns rows of bytes into lanes and back: what reaches along a row becomes plain vector arithmetic."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled

#: Lanes that are written at a time: the bytes of one word of 64 bits.
LANES = 8
_Bytes = NDArray[np.uint8]
_Words = NDArray[np.uint64]


@compiled
def to_lanes(rows: _Bytes, lanes: _Bytes) -> None:
    """Transpose: row y becomes lane y of each column.

    Args:
        rows: Shape (height, width).
        lanes: Filled, shape (at least width, height or more: a multiple of `LANES`); lanes without a row get the bytes
            of the last one.
    """
    height, width = rows.shape
    quads = np.empty((2, width * 4), dtype=np.uint8)
    low, high = quads[0].view(np.uint32), quads[1].view(np.uint32)
    columns = lanes.view(np.uint64)
    last = height - 1
    for y in range(0, height, LANES):
        for half in range(2):
            at = y + 4 * half
            _interleave(
                rows[min(at, last)],
                rows[min(at + 1, last)],
                rows[min(at + 2, last)],
                rows[min(at + 3, last)],
                quads[half],
            )
        for x in range(width):
            columns[x, y // LANES] = np.uint64(low[x]) | (np.uint64(high[x]) << np.uint64(32))


@compiled
def to_rows(lanes: _Bytes, rows: _Bytes) -> None:
    """Transpose back.

    Args:
        lanes: Shape (width, at least height: a multiple of `LANES`).
        rows: Filled, shape (height, width).
    """
    height, width = rows.shape
    columns = lanes.view(np.uint64)
    line = np.empty(width, dtype=np.uint64)
    halves = np.empty((2, width * 4), dtype=np.uint8)
    quarters = np.empty((4, width * 2), dtype=np.uint8)
    spare = np.empty((LANES, width), dtype=np.uint8)
    for y in range(0, height, LANES):
        for x in range(width):
            line[x] = columns[x, y // LANES]
        block = rows[y : y + LANES] if y + LANES <= height else spare
        _split(line.view(np.uint8), halves[0], halves[1])
        _split(halves[0], quarters[0], quarters[1])
        _split(halves[1], quarters[2], quarters[3])
        _split(quarters[0], block[0], block[4])
        _split(quarters[1], block[2], block[6])
        _split(quarters[2], block[1], block[5])
        _split(quarters[3], block[3], block[7])
    for y in range(height // LANES * LANES, height):
        for x in range(width):
            rows[y, x] = spare[y % LANES, x]


@compiled
def _interleave(row_0: _Bytes, row_1: _Bytes, row_2: _Bytes, row_3: _Bytes, line: _Bytes) -> None:
    for x in range(len(row_0)):
        line[4 * x] = row_0[x]
        line[4 * x + 1] = row_1[x]
        line[4 * x + 2] = row_2[x]
        line[4 * x + 3] = row_3[x]


@compiled
def _split(line: _Bytes, even: _Bytes, odd: _Bytes) -> None:
    # two at a time: LLVM makes packed shuffles of it, unlike of four or eight
    for i in range(len(even)):
        even[i] = line[2 * i]
        odd[i] = line[2 * i + 1]
