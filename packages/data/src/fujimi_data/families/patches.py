"""Pictures of points and of opaque patches of 3 by 3 pixels, where the last that is laid down is seen."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled

#: Bits of a patch.
MASK_BITS = 9
#: Most points of a picture: their numbers, from 1 on, and a mask share a word.
MOST_POINTS = 2 ** (32 - MASK_BITS) - 1
#: A point at column x and row y of a picture is noted at (y + MARGIN, x + MARGIN) of a grid.
MARGIN = 3
_NUMBER = 1 << MASK_BITS

_Grid = NDArray[np.uint32]
_Picture = NDArray[np.uint8]


def grid_width(pixels: int) -> int:
    """Rows and columns of the grid for a picture."""
    return pixels + MARGIN


@compiled
def note(grid: _Grid, places: NDArray[np.int32], masks: NDArray[np.uint32], first: int) -> None:
    """Note in a grid which points came last where.

    Args:
        grid: Of zeros at first. A cell becomes the number of its last point, times 512, plus that point's mask.
        places: Cell of each point: row times width plus column.
        masks: Of the points; the lowest 9 bits count.
        first: Number of the first of these points, from 1 on.
    """
    cells = grid.reshape(-1)
    number = np.uint32(first * _NUMBER)
    for i in range(len(places)):
        cells[np.uint32(places[i])] = np.uint32(number | np.uint32(masks[i] & np.uint32(_NUMBER - 1)))
        number = np.uint32(number + np.uint32(_NUMBER))


@compiled
def grey_patches(grid: _Grid, pixels: int, grey: int) -> _Picture:
    """The picture of patches of one grey on black.

    A patch covers the three columns to the right of its point's and the three rows after its point's. Pixel (r, c)
    shows bit ``3 (r % 3) + c % 3`` of the mask of the last patch that covers it: whichever patch that is, each of its
    nine pixels has a bit of its own.

    Args:
        grid: See :func:`note`.
        pixels: Side of the picture.
        grey: From 1 to 255.
    """
    picture = np.empty((pixels, pixels), dtype=np.uint8)
    last, bits = np.empty(grid.shape[1], dtype=np.uint32), _column_bits(pixels)
    for row in range(pixels):
        _latest(last, grid[row], grid[row + 1], grid[row + 2])
        _show_grey(picture[row], last, last[1:], last[2:], bits, np.uint32(3 * (row % 3)), np.uint8(grey))
    return picture


@compiled
def patch_numbers(grid: _Grid, pixels: int) -> NDArray[np.uint32]:
    """Number of the point whose patch lights a pixel, from 1 on; 0 where it is dark: see :func:`grey_patches`."""
    numbers = np.empty((pixels, pixels), dtype=np.uint32)
    last, bits = np.empty(grid.shape[1], dtype=np.uint32), _column_bits(pixels)
    for row in range(pixels):
        _latest(last, grid[row], grid[row + 1], grid[row + 2])
        _show_number(numbers[row], last, last[1:], last[2:], bits, np.uint32(3 * (row % 3)))
    return numbers


def point_numbers(grid: _Grid, pixels: int) -> NDArray[np.uint32]:
    """Number of the last point on a pixel, from 1 on; 0 where there is none."""
    return grid[MARGIN : MARGIN + pixels, MARGIN : MARGIN + pixels] >> np.uint32(MASK_BITS)


@compiled
def _column_bits(pixels: int) -> NDArray[np.uint32]:
    bits = np.empty(pixels, dtype=np.uint32)
    for column in range(pixels):
        bits[column] = 1 << (column % 3)
    return bits


@compiled
def _latest(last: _Grid, above: _Grid, middle: _Grid, below: _Grid) -> None:
    for i in range(len(last)):
        latest = above[i] if above[i] > middle[i] else middle[i]
        last[i] = latest if latest > below[i] else below[i]


@compiled
def _show_grey(
    picture: _Picture, left: _Grid, middle: _Grid, right: _Grid, bits: _Grid, shift: np.uint32, grey: np.uint8
) -> None:
    for i in range(len(picture)):
        latest = left[i] if left[i] > middle[i] else middle[i]
        latest = latest if latest > right[i] else right[i]
        picture[i] = grey if np.uint32(np.uint32(latest >> shift) & bits[i]) != 0 else np.uint8(0)


@compiled
def _show_number(numbers: _Grid, left: _Grid, middle: _Grid, right: _Grid, bits: _Grid, shift: np.uint32) -> None:
    for i in range(len(numbers)):
        latest = left[i] if left[i] > middle[i] else middle[i]
        latest = latest if latest > right[i] else right[i]
        number = np.uint32(latest >> np.uint32(MASK_BITS))
        numbers[i] = number if np.uint32(np.uint32(latest >> shift) & bits[i]) != 0 else np.uint32(0)
