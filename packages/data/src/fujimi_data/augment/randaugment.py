"""RandAugment: a few operations drawn from a list, all with about the same strength."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fujimi_data.augment import pointwise
from fujimi_data.augment.affine import Matrix, rotation, transform
from fujimi_data.augment.draws import RANDAUGMENT, Key, below, uniform
from fujimi_data.augment.enhance import change_colour, change_sharpness
from fujimi_data.augment.grey import luma
from fujimi_data.augment.weights import FILTERS, filter_number
from fujimi_data.compiled import compiled

#: Greatest strength.
STRONGEST = 10.0
#: Operations that are drawn from, each as often as any other.
OPERATIONS = (
    "auto_contrast",
    "equalize",
    "invert",
    "rotate",
    "posterize",
    "solarize",
    "solarize_add",
    "colour",
    "contrast",
    "brightness",
    "sharpness",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
)
_Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """What one layer does to a sample.

    Args:
        name: One of `OPERATIONS`.
        strength: 0 to 10.
        negative: Whether turns, shears and translations go the other way, and factors below 1 instead of above.
        resampling: ``bilinear`` or ``bicubic``, for turns, shears and translations.
    """

    name: str
    strength: float
    negative: bool
    resampling: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RandAugment:
    """Layers of operations, drawn with replacement.

    timm writes ``rand-m9-mstd0.5-inc1`` for a strength of 9 with a deviation of 0.5, two layers, and operations of
    which all grow with the strength.

    Args:
        strength: Mean strength, 0 to 10.
        deviation: Standard deviation of the strength, at least 0; what is drawn outside of 0 to 10 becomes 0 or 10.
        layers: Operations that are drawn.
        probability: That a drawn operation is applied.
        resampling: ``bilinear``, ``bicubic``, or ``random`` for one of both by turns.
        fill: Red, green and blue of what comes from outside of the picture; a grey picture gets their grey.

    Raises:
        ValueError: If a number is outside its range, or the resampling is unknown.

    Source:
        E. D. Cubuk et al., "RandAugment: practical automated data augmentation with a reduced search space", NeurIPS
        2020; operations, ranges and the noise of the strength are those of timm 1.0, ``auto_augment.py``, set
        ``_RAND_INCREASING_TRANSFORMS``.
    """

    strength: float = 9.0
    deviation: float = 0.5
    layers: int = 2
    probability: float = 0.5
    resampling: str = "bicubic"
    fill: tuple[int, int, int] = (124, 116, 104)

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= STRONGEST:
            raise ValueError(f"strength is {self.strength}; it must be from 0 to {STRONGEST:.0f}")
        if not 0 <= self.deviation < math.inf:
            raise ValueError(f"deviation is {self.deviation}; it must be at least 0 and finite")
        if self.layers < 1:
            raise ValueError(f"layers is {self.layers}; it must be at least 1")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability is {self.probability}; it must be from 0 to 1")
        if len(self.fill) != 3 or not all(0 <= value <= 255 for value in self.fill):
            raise ValueError(f"fill is {self.fill}; it must be three numbers from 0 to 255")
        if self.resampling != "random":
            filter_number(self.resampling)

    def draw(self, key: Key) -> list[Operation]:
        """The operations that a sample gets, in their order."""
        drawn = (_draw_layer(*key, layer, self.strength, self.deviation) for layer in range(self.layers))
        return [
            Operation(
                name=OPERATIONS[number],
                strength=strength,
                negative=bool(negative),
                resampling=FILTERS[bicubic] if self.resampling == "random" else self.resampling,
            )
            for number, strength, negative, bicubic, chance in drawn
            if chance < self.probability
        ]

    def apply(self, planes: _Bytes, *, key: Key) -> None:
        """Change a sample in place.

        Args:
            planes: Shape (channels, rows, columns), one channel or three.
            key: Of the sample.
        """
        for operation in self.draw(key):
            apply(operation, planes, fill=self.fill)


def apply(operation: Operation, planes: _Bytes, *, fill: tuple[int, int, int]) -> None:
    """Apply an operation in place.

    Args:
        operation: What to do.
        planes: Shape (channels, rows, columns), one channel or three.
        fill: Red, green and blue of what comes from outside of the picture.
    """
    name, share = operation.name, operation.strength / STRONGEST
    sign = -1.0 if operation.negative else 1.0
    if name in _TABLES:
        number, argument = _TABLES[name]
        pointwise.change_values(planes, number, argument(share, sign))
    elif name == "colour":
        change_colour(planes, np.float32(_factor(share, sign)))
    elif name == "sharpness":
        change_sharpness(planes, np.float32(_factor(share, sign)))
    else:
        matrix = matrix_of(name, share * sign, rows=planes.shape[1], columns=planes.shape[2])
        transform(planes, matrix, _filling(fill, len(planes)), filter_number(operation.resampling))


def matrix_of(name: str, share: float, *, rows: int, columns: int) -> Matrix:
    """Map of a turn, shear or translation.

    Args:
        name: Of the operation.
        share: Of the greatest movement, -1 to 1: 30 degrees, 0.3, or 45 % of the side.
        rows: Of the picture.
        columns: Of the picture.
    """
    if name == "rotate":
        return rotation(share * 30.0, rows=rows, columns=columns)
    if name == "shear_x":
        return 1.0, share * 0.3, 0.0, 0.0, 1.0, 0.0
    if name == "shear_y":
        return 1.0, 0.0, 0.0, share * 0.3, 1.0, 0.0
    if name == "translate_x":
        return 1.0, 0.0, share * 0.45 * columns, 0.0, 1.0, 0.0
    return 1.0, 0.0, 0.0, 0.0, 1.0, share * 0.45 * rows


def _factor(share: float, sign: float) -> float:
    return max(0.1, 1.0 + sign * (share * 0.9))


_Argument = Callable[[float, float], float]
_TABLES: dict[str, tuple[int, _Argument]] = {
    "auto_contrast": (pointwise.AUTO_CONTRAST, lambda share, sign: 0.0),
    "equalize": (pointwise.EQUALIZE, lambda share, sign: 0.0),
    "invert": (pointwise.INVERT, lambda share, sign: 0.0),
    "posterize": (pointwise.POSTERIZE, lambda share, sign: float(4 - int(share * 4))),
    "solarize": (pointwise.SOLARIZE, lambda share, sign: float(256 - min(256, int(share * 256)))),
    "solarize_add": (pointwise.SOLARIZE_ADD, lambda share, sign: float(min(128, int(share * 110)))),
    "contrast": (pointwise.CONTRAST, _factor),
    "brightness": (pointwise.BRIGHTNESS, _factor),
}


def _filling(fill: tuple[int, int, int], channels: int) -> tuple[int, int, int]:
    if channels == 3:
        return fill
    grey = int(luma(*(np.int32(value) for value in fill)))
    return grey, grey, grey


@compiled
def _draw_layer(
    key_0: int, key_1: int, layer: int, strength: float, deviation: float
) -> tuple[int, float, bool, int, float]:
    """Number of the operation, strength, sign, number of a filter, and the chance that it is applied."""
    which, chance = uniform(key_0, key_1, RANDAUGMENT, 3 * layer)
    sign, blur = uniform(key_0, key_1, RANDAUGMENT, 3 * layer + 1)
    radius, angle = uniform(key_0, key_1, RANDAUGMENT, 3 * layer + 2)
    # Box and Muller's transform; 1 - radius is above 0
    normal = math.sqrt(-2.0 * math.log(1.0 - radius)) * math.cos(2.0 * math.pi * angle)
    drawn = min(max(strength + deviation * normal, 0.0), STRONGEST)
    return below(which, len(OPERATIONS)), drawn, sign < 0.5, below(blur, 2), chance
