"""Random numbers of a picture: functions of seed, class and instance alone."""

from functools import lru_cache

import numpy as np
from fujimi_core.errors import unknown

from fujimi_data.shards.manifest import PIXELS
from fujimi_data.threefry import Pair, derived_key

_WORDS = 2**32
#: The last sequence of a class's key gives its parameters, the others are its instances.
CLASS_STREAM = _WORDS - 1
#: Whose random numbers pictures are drawn with: ours, or those of the authors' programs in their order.
MODES = ("default", "reference")
#: Classes whose parameters are kept: datasets, whose classes take turns, have up to 21,000.
KEPT_CLASSES = 65_536


@lru_cache(maxsize=KEPT_CLASSES)
def class_key(seed: int, category: int) -> Pair:
    """Key of all random words of a class."""
    return derived_key((np.uint32(seed % _WORDS), np.uint32(seed // _WORDS)), category)


def integer(word: int, low: int, high: int) -> int:
    """Uniform whole number from ``low`` to ``high``, both included, of a word of 32 bits."""
    return low + (word * (high - low + 1) >> 32)


def real(word: int, low: float, high: float) -> float:
    """Uniform number, at least ``low`` and below ``high``, of a word of 32 bits."""
    return low + (high - low) * word / _WORDS


def check(*, seed: int, category: int, instance: int, pixels: int) -> None:
    """Check what every family is asked with.

    Raises:
        ValueError: If a number is outside its range.
    """
    for name, value, low, high in (
        ("seed", seed, 0, 2**64 - 1),
        ("category", category, 0, _WORDS - 1),
        ("instance", instance, 0, CLASS_STREAM - 1),
        ("pixels", pixels, *PIXELS),
    ):
        if not low <= value <= high:
            raise ValueError(f"{name} is {value}; it must be from {low} to {high}")


def check_mode(mode: str) -> None:
    """Check the mode of a family that has one.

    Raises:
        ValueError: If it is not a known one.
    """
    if mode not in MODES:
        raise ValueError(unknown("mode", mode, MODES))
