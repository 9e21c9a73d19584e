"""Interpolation between pixels, with the arithmetic of Pillow's affine maps."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled

#: Pixels beyond the border of a picture that an interpolation reads.
MARGIN = 2


@compiled
def widen(line: NDArray[np.uint8], wide: NDArray[np.uint8]) -> None:
    """Copy a line between two margins that repeat its ends.

    Args:
        line: Shape (pixels,).
        wide: Filled, shape (pixels + 2 * MARGIN,).
    """
    for x in range(len(line)):
        wide[x + MARGIN] = line[x]
    for x in range(MARGIN):
        wide[x] = line[0]
        wide[len(line) + MARGIN + x] = line[-1]


@compiled
def linear(value_0: float, value_1: float, aside: float) -> float:
    """Value at ``aside``, 0 to 1, of a straight line between two values."""
    return value_0 + (value_1 - value_0) * aside


@compiled
def cubic(value_0: float, value_1: float, value_2: float, value_3: float, aside: float) -> float:
    """Value at ``aside``, 0 to 1, between the second and the third of four values: cubic convolution with a = -1.

    Source:
        Pillow 13.0, ``src/libImaging/Geometry.c``, ``BICUBIC``, whose order of additions is kept.
    """
    once = value_2 - value_0
    squared = 2.0 * (value_0 - value_1) + value_2 - value_3
    cubed = value_1 - value_0 - value_2 + value_3
    return value_1 + aside * (once + aside * (squared + aside * cubed))


@compiled
def cubic_of_pixels(pixel_0: np.int32, pixel_1: np.int32, pixel_2: np.int32, pixel_3: np.int32, aside: float) -> float:
    """The same of pixels, whose sums are exact in whole numbers: twice as many of those fit into a register."""
    turn = np.int32(pixel_0 - pixel_1)
    once = np.int32(pixel_2 - pixel_0)
    squared = np.int32(np.int32(np.int32(turn + turn) + pixel_2) - pixel_3)
    cubed = np.int32(np.int32(pixel_3 - pixel_2) - turn)
    steep = np.float64(squared) + aside * np.float64(cubed)
    return np.float64(pixel_1) + aside * (np.float64(once) + aside * steep)


@compiled
def byte(value: float) -> np.uint8:
    """A value cut off to a whole number from 0 to 255."""
    return np.uint8(np.int32(min(max(value, 0.0), 255.0)))
