"""Flips: which way round a crop is written."""

from dataclasses import dataclass

from fujimi_data.augment.draws import FLIP, Key, uniform
from fujimi_data.compiled import compiled


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """How often pictures are mirrored; it costs nothing, the crop is written the other way round.

    Args:
        horizontal: Probability that left and right change places, 0 to 1.
        vertical: Probability that top and bottom change places, 0 to 1.

    Raises:
        ValueError: If a probability is outside its range.
    """

    horizontal: float = 0.0
    vertical: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("horizontal", self.horizontal), ("vertical", self.vertical)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}; a probability is from 0 to 1")

    def draw(self, key: Key) -> tuple[bool, bool]:
        """Whether a sample is mirrored horizontally and vertically."""
        horizontal, vertical = draw_flip(*key, self.horizontal, self.vertical)
        return bool(horizontal), bool(vertical)


@compiled
def draw_flip(key_0: int, key_1: int, horizontal: float, vertical: float) -> tuple[bool, bool]:
    """Whether a sample is mirrored, by the probabilities of both flips."""
    drawn = uniform(key_0, key_1, FLIP, 0)
    return drawn[0] < horizontal, drawn[1] < vertical
