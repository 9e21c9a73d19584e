"""Random erasing: rectangles of a sample become noise or one colour."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fujimi_data.augment.draws import ERASING, NOISE, Key, below, between, uniform
from fujimi_data.compiled import compiled
from fujimi_data.threefry import fill_words

#: Rectangles that are tried before one is left out.
TRIES = 10
#: Mean and standard deviation that pixels are normalised with, as shares of 255: those of ImageNet.
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Each word of 32 bits gives two values of noise, from a table with one entry for each half.
_HALF_WORD = 2**16
_MODES = ("const", "pixel")
_Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomErasing:
    """Rectangles of random area and shape, which are filled with what is noise or zero after normalisation.

    Args:
        probability: That a sample is changed.
        area: Least and greatest area of all rectangles together, as a share of the picture's.
        ratio: Least and greatest height over width.
        count: Least and greatest number of rectangles.
        mode: ``pixel`` for normal noise in each pixel and channel, rounded to the values there are; ``const`` for the
            mean colour.
        mean: Of red, green and blue, as shares of 255; a grey picture gets their grey.
        std: Of red, green and blue, as shares of 255; a grey picture gets their grey.

    Raises:
        ValueError: If a number is outside its range, or the mode is unknown.

    Source:
        Z. Zhong et al., "Random erasing data augmentation", AAAI 2020; areas, ranges and modes are those of timm 1.0,
        ``random_erasing.py``, which erases after normalisation.
    """

    probability: float = 0.25
    area: tuple[float, float] = (0.02, 1 / 3)
    ratio: tuple[float, float] = (0.3, 1 / 0.3)
    count: tuple[int, int] = (1, 1)
    mode: str = "pixel"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability is {self.probability}; it must be from 0 to 1")
        if not 0 <= self.area[0] <= self.area[1] <= 1:
            raise ValueError(f"area is {self.area}; it needs 0 <= least <= greatest <= 1")
        if not 0 < self.ratio[0] <= self.ratio[1] < math.inf:
            raise ValueError(f"ratio is {self.ratio}; it needs 0 < least <= greatest")
        if not 1 <= self.count[0] <= self.count[1]:
            raise ValueError(f"count is {self.count}; it needs 1 <= least <= greatest")
        if self.mode not in _MODES:
            raise ValueError(f"mode is {self.mode!r}; known: {', '.join(_MODES)}")
        if len(self.mean) != 3 or not all(0 <= share <= 1 for share in self.mean):
            raise ValueError(f"mean is {self.mean}; it must be three numbers from 0 to 1")
        if len(self.std) != 3 or not all(0 < share <= 1 for share in self.std):
            raise ValueError(f"std is {self.std}; it must be three numbers above 0 and at most 1")

    def draw(self, key: Key, *, rows: int, columns: int) -> list[tuple[int, int, int, int]]:
        """Top, left, height and width of the rectangles of a sample."""
        count = draw_count(*key, self.probability, *self.count)
        drawn = (draw_rectangle(*key, i, count, rows, columns, *self.area, *self.ratio) for i in range(count))
        return [rectangle for rectangle in drawn if rectangle[2]]

    def apply(self, planes: _Bytes, *, key: Key) -> None:
        """Change a sample in place.

        Args:
            planes: Shape (channels, rows, columns), one channel or three.
            key: Of the sample.
        """
        values = _values(self.mode, self.mean, self.std, len(planes))
        _erase(planes, values, *key, self.probability, *self.count, *self.area, *self.ratio)


@lru_cache(maxsize=64)
def _values(mode: str, mean: tuple[float, float, float], std: tuple[float, float, float], channels: int) -> _Bytes:
    """What fills a rectangle: shape (channels, 1), or (channels, 2**16) for as many equally likely values."""
    if channels == 1:
        mean, std = (_grey(mean),) * 3, (_grey(std),) * 3
    if mode == "const":
        return np.array([[round(255 * share)] for share in mean[:channels]], dtype=np.uint8)
    return np.stack([_normal_values(255 * mean[channel], 255 * std[channel]) for channel in range(channels)])


def _grey(shares: tuple[float, float, float]) -> float:
    return (0.299 * shares[0] + 0.587 * shares[1]) + 0.114 * shares[2]


def _normal_values(mean: float, std: float) -> _Bytes:
    """Rounded values of a normal distribution, ascending, each as often as it is likely."""
    bounds = [(value + 0.5 - mean) / (std * math.sqrt(2.0)) for value in range(255)]
    until = [round(_HALF_WORD * (1.0 + math.erf(bound)) / 2.0) for bound in bounds]
    return np.repeat(np.arange(256, dtype=np.uint8), np.diff([0, *until, _HALF_WORD]))


@compiled
def draw_count(key_0: int, key_1: int, probability: float, least: int, greatest: int) -> int:
    """Rectangles of a sample."""
    chance, number = uniform(key_0, key_1, ERASING, 0)
    return least + below(number, greatest - least + 1) if chance < probability else 0


@compiled
def draw_rectangle(
    key_0: int,
    key_1: int,
    rectangle: int,
    count: int,
    rows: int,
    columns: int,
    area_low: float,
    area_high: float,
    ratio_low: float,
    ratio_high: float,
) -> tuple[int, int, int, int]:
    """Top, left, height and width of one of the rectangles of a sample; all 0 if none fitted."""
    for attempt in range(TRIES):
        index = 1 + 2 * (rectangle * TRIES + attempt)
        numbers = uniform(key_0, key_1, ERASING, index)
        area = between(numbers[0], area_low, area_high) * rows * columns / count
        ratio = math.exp(between(numbers[1], math.log(ratio_low), math.log(ratio_high)))
        height, width = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if height < rows and width < columns:
            places = uniform(key_0, key_1, ERASING, index + 1)
            return below(places[0], rows - height + 1), below(places[1], columns - width + 1), height, width
    return 0, 0, 0, 0


@compiled
def _erase(
    planes: _Bytes,
    values: _Bytes,
    key_0: int,
    key_1: int,
    probability: float,
    least: int,
    greatest: int,
    area_low: float,
    area_high: float,
    ratio_low: float,
    ratio_high: float,
) -> None:
    rows, columns = planes.shape[1], planes.shape[2]
    count = draw_count(key_0, key_1, probability, least, greatest)
    words = np.empty((2, (columns + 3) // 4), dtype=np.uint32)
    for i in range(count):
        top, left, height, width = draw_rectangle(
            key_0, key_1, i, count, rows, columns, area_low, area_high, ratio_low, ratio_high
        )
        for channel in range(len(planes)):
            for y in range(top, top + height):
                line = planes[channel, y, left : left + width]
                if values.shape[1] == 1:
                    line[:] = values[channel, 0]
                else:
                    # each line has words of its own, so that rectangles may overlap
                    first = np.uint32(((i * len(planes) + channel) * rows + y) * words.shape[1])
                    words_0, words_1 = words[0, : (width + 3) // 4], words[1, : (width + 3) // 4]
                    fill_words(words_0, words_1, np.uint32(key_0), np.uint32(key_1), np.uint32(NOISE), first)
                    _fill(line, values[channel], words_0, words_1)


@compiled
def _fill(line: _Bytes, values: _Bytes, words_0: NDArray[np.uint32], words_1: NDArray[np.uint32]) -> None:
    """Fill a line with noise: four values of each pair of words."""
    low, bits = np.uint32(_HALF_WORD - 1), np.uint32(16)
    whole = len(line) // 4
    for i in range(whole):
        line[4 * i] = values[words_0[i] & low]
        line[4 * i + 1] = values[words_0[i] >> bits]
        line[4 * i + 2] = values[words_1[i] & low]
        line[4 * i + 3] = values[words_1[i] >> bits]
    for i in range(4 * whole, len(line)):
        line[i] = values[(words_0[whole] if i % 4 < 2 else words_1[whole]) >> bits * np.uint32(i % 2) & low]
