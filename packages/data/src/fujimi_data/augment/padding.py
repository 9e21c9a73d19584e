"""Padded crops: a picture gets a border, and a window of the batch's size is taken anywhere in it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fujimi_data.augment.draws import CROP, Key, below, uniform
from fujimi_data.augment.flip import Flip, draw_flip
from fujimi_data.augment.pictures import lines_and_planes
from fujimi_data.augment.window import copy_window
from fujimi_data.compiled import compiled

_Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class PaddedCrop:
    """A window of a picture with a border, at a random place.

    Args:
        padding: Width of the border on each side [pixels].
        fill: Value of the border, 0 to 255.

    Raises:
        ValueError: If a number is outside its range.

    Source:
        K. He et al., "Deep residual learning for image recognition", CVPR 2016, section 4.2, after C.-Y. Lee et al.,
        "Deeply-supervised nets", AISTATS 2015; torchvision's ``RandomCrop(size, padding=padding, fill=fill)``.
    """

    padding: int = 4
    fill: int = 0

    def __post_init__(self) -> None:
        if self.padding < 0:
            raise ValueError(f"padding is {self.padding}; it must be at least 0")
        if not 0 <= self.fill <= 255:
            raise ValueError(f"fill is {self.fill}; it must be from 0 to 255")

    def draw(self, key: Key, *, rows: int, columns: int, new_rows: int, new_columns: int) -> tuple[int, int]:
        """Row and column of the picture where the window of a sample begins; in the border they are negative."""
        top, left = draw_place(*key, rows, columns, new_rows, new_columns, self.padding)
        return int(top), int(left)

    def write(self, picture: _Bytes, out: _Bytes, *, key: Key, flip: Flip) -> None:
        """Write the window of a sample to its row of the batch.

        Raises:
            ValueError: If the picture with its border is smaller than the row.
        """
        lines, planes = lines_and_planes(picture, out)
        if any(planes.shape[1 + axis] > picture.shape[axis] + 2 * self.padding for axis in range(2)):
            raise ValueError(
                f"a picture of shape {picture.shape} with a border of {self.padding} pixels "
                f"is smaller than the row of shape {out.shape}; take a RandomResizedCrop"
            )
        _write(lines, planes, self.padding, self.fill, *key, flip.horizontal, flip.vertical)


@compiled
def draw_place(
    key_0: int, key_1: int, rows: int, columns: int, new_rows: int, new_columns: int, padding: int
) -> tuple[int, int]:
    """Where the window of a sample begins."""
    numbers = uniform(key_0, key_1, CROP, 0)
    top = below(numbers[0], rows + 2 * padding - new_rows + 1)
    left = below(numbers[1], columns + 2 * padding - new_columns + 1)
    return top - padding, left - padding


@compiled
def _write(
    lines: _Bytes,
    planes: _Bytes,
    padding: int,
    fill: int,
    key_0: int,
    key_1: int,
    horizontal: float,
    vertical: float,
) -> None:
    channels, new_rows, new_columns = planes.shape
    top, left = draw_place(key_0, key_1, lines.shape[0], lines.shape[1] // channels, new_rows, new_columns, padding)
    copy_window(lines, planes, top, left, draw_flip(key_0, key_1, horizontal, vertical), fill)
