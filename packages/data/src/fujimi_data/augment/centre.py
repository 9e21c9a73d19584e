"""Centre crops, which models are evaluated with: the shorter side is resized, and the middle is kept."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fujimi_data.augment.draws import Key
from fujimi_data.augment.flip import Flip, draw_flip
from fujimi_data.augment.pictures import lines_and_planes
from fujimi_data.augment.resample import resize_part
from fujimi_data.augment.weights import filter_number
from fujimi_data.augment.window import copy_window
from fujimi_data.compiled import compiled

_Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class CentreCrop:
    """The middle of a picture whose shorter side was resized; only what is kept is computed.

    Args:
        fraction: Side of the crop over the shorter side, above 0 and at most 1.
        resampling: ``bilinear`` or ``bicubic``.

    Raises:
        ValueError: If the fraction is outside its range, or the resampling is unknown.

    Source:
        timm 1.0, ``transforms_imagenet_eval`` with ``crop_mode="center"``, whose sizes and places are those of
        torchvision's ``Resize`` and ``CenterCrop``.
    """

    fraction: float = 0.875
    resampling: str = "bicubic"

    def __post_init__(self) -> None:
        if not 0 < self.fraction <= 1:
            raise ValueError(f"fraction is {self.fraction}; it must be above 0 and at most 1")
        filter_number(self.resampling)

    def write(self, picture: _Bytes, out: _Bytes, *, key: Key, flip: Flip) -> None:
        """Write the middle of a sample to its row of the batch, which is a square."""
        lines, planes = lines_and_planes(picture, out)
        shorter = math.floor(planes.shape[1] / self.fraction)
        # a tuple of numbers that are all unknown to numba: with zeros in it, it would compile all anew
        window = (0, 0, *picture.shape[:2])
        _write(lines, window, planes, shorter, filter_number(self.resampling), *key, flip.horizontal, flip.vertical)


@compiled
def _write(
    lines: _Bytes,
    window: tuple[int, int, int, int],
    planes: _Bytes,
    shorter: int,
    bicubic: int,
    key_0: int,
    key_1: int,
    horizontal: float,
    vertical: float,
) -> None:
    _, new_rows, new_columns = planes.shape
    _, _, rows, columns = window
    # the order of the arithmetic is torchvision's: whole numbers come of it
    if rows < columns:
        whole_rows, whole_columns = shorter, int(shorter * columns / rows)
    else:
        whole_rows, whole_columns = int(shorter * rows / columns), shorter
    top, left = round((whole_rows - new_rows) / 2), round((whole_columns - new_columns) / 2)
    flipped = draw_flip(key_0, key_1, horizontal, vertical)
    if (whole_rows, whole_columns) == (rows, columns):
        copy_window(lines, planes, top, left, flipped, 0)
    else:
        resize_part(
            lines,
            window,
            planes,
            (0.0, 0.0, float(rows), float(columns)),
            (whole_rows, whole_columns),
            np.int64(top),
            np.int64(left),
            flipped,
            bicubic,
        )
