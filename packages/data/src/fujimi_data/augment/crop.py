"""Random resized crops: a part of a picture, of random area and shape, brought to the size of the batch."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fujimi_data.augment.draws import CROP, Key, below, between, uniform
from fujimi_data.augment.flip import Flip, draw_flip
from fujimi_data.augment.pictures import lines_and_planes
from fujimi_data.augment.resample import resize_part
from fujimi_data.augment.weights import FILTERS, filter_number
from fujimi_data.compiled import compiled

#: Crops that are tried before the one in the middle is taken.
TRIES = 10
# number of what draws one of the filters for each sample
_RANDOM = len(FILTERS)
_Bytes = NDArray[np.uint8]


class Box(NamedTuple):
    """Part of a picture [pixels]."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomResizedCrop:
    """A crop of random area and shape, resized.

    Area and shape are drawn up to ten times, uniformly and log-uniformly, until the crop fits into the picture, and
    then its place; otherwise it is the largest crop of an allowed shape in the middle.

    Args:
        scale: Least and greatest area, as a share of the picture's; above 0.
        ratio: Least and greatest width over height; above 0.
        resampling: ``bilinear``, ``bicubic``, or ``random`` for one of both by turns.

    Raises:
        ValueError: If a range is empty or not positive, or the resampling is unknown.

    Source:
        C. Szegedy et al., "Going deeper with convolutions", CVPR 2015, section 6; the rule is that of torchvision 0.29,
        ``RandomResizedCrop.get_params``, and of timm 1.0, ``RandomResizedCropAndInterpolation``.
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    resampling: str = "bilinear"

    def __post_init__(self) -> None:
        for name, (low, high) in (("scale", self.scale), ("ratio", self.ratio)):
            if not 0 < low <= high < math.inf:
                raise ValueError(f"{name} is {(low, high)}; it needs 0 < least <= greatest")
        if self.resampling != "random":
            filter_number(self.resampling)

    def draw(self, key: Key, *, rows: int, columns: int) -> Box:
        """The crop of a sample of this size."""
        return Box(*(int(side) for side in draw_box(*key, rows, columns, *self.scale, *self.ratio)))

    def draw_resampling(self, key: Key) -> str:
        """How a sample is resized."""
        return FILTERS[draw_resampling(*key, self._filter_number)]

    def write(self, picture: _Bytes, out: _Bytes, *, key: Key, flip: Flip) -> None:
        """Write the crop of a sample to its row of the batch."""
        lines, planes = lines_and_planes(picture, out)
        _write(
            lines,
            planes,
            *key,
            *self.scale,
            *self.ratio,
            self._filter_number,
            flip.horizontal,
            flip.vertical,
        )

    @property
    def _filter_number(self) -> int:
        return _RANDOM if self.resampling == "random" else filter_number(self.resampling)


@compiled
def draw_box(
    key_0: int,
    key_1: int,
    rows: int,
    columns: int,
    scale_low: float,
    scale_high: float,
    ratio_low: float,
    ratio_high: float,
) -> tuple[int, int, int, int]:
    """Top, left, height and width of the crop of a sample."""
    for attempt in range(TRIES):
        numbers = uniform(key_0, key_1, CROP, 1 + attempt)
        area = between(numbers[0], scale_low, scale_high) * rows * columns
        ratio = math.exp(between(numbers[1], math.log(ratio_low), math.log(ratio_high)))
        width, height = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < width <= columns and 0 < height <= rows:
            places = uniform(key_0, key_1, CROP, 1 + TRIES + attempt)
            return below(places[0], rows - height + 1), below(places[1], columns - width + 1), height, width
    height, width = rows, columns
    if columns / rows < ratio_low:
        height = max(round(columns / ratio_low), 1)
    elif columns / rows > ratio_high:
        width = max(round(rows * ratio_high), 1)
    return (rows - height) // 2, (columns - width) // 2, height, width


@compiled
def draw_resampling(key_0: int, key_1: int, number: int) -> int:
    """Number of the filter that a sample is resized with."""
    return below(uniform(key_0, key_1, CROP, 0)[0], 2) if number == _RANDOM else number


@compiled
def _write(
    lines: _Bytes,
    planes: _Bytes,
    key_0: int,
    key_1: int,
    scale_low: float,
    scale_high: float,
    ratio_low: float,
    ratio_high: float,
    number: int,
    horizontal: float,
    vertical: float,
) -> None:
    channels, new_rows, new_columns = planes.shape
    window = draw_box(
        key_0,
        key_1,
        lines.shape[0],
        lines.shape[1] // channels,
        scale_low,
        scale_high,
        ratio_low,
        ratio_high,
    )
    # of this type and no other, resize_part is compiled for all that call it
    start = np.int64(0)
    resize_part(
        lines,
        window,
        planes,
        (0.0, 0.0, float(window[2]), float(window[3])),
        (new_rows, new_columns),
        start,
        start,
        draw_flip(key_0, key_1, horizontal, vertical),
        draw_resampling(key_0, key_1, number),
    )
