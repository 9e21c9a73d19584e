"""Augmentations: what a sample goes through on its way into a batch, in this order."""

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from fujimi_data.augment.draws import Key, sample_key
from fujimi_data.augment.erase import RandomErasing
from fujimi_data.augment.flip import Flip
from fujimi_data.augment.randaugment import RandAugment

_Bytes = NDArray[np.uint8]


class Crop(Protocol):
    """What brings a picture to the size of the batch."""

    def write(self, picture: _Bytes, out: _Bytes, *, key: Key, flip: Flip) -> None:
        """Write a part of a sample, mirrored or not, to its row of the batch.

        Args:
            picture: Shape (rows, columns), or (rows, columns, 3).
            out: Shape (new rows, new columns), or (3, new rows, new columns).
            key: Of the sample.
            flip: How often it is mirrored.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Crop, flips, RandAugment, erasing: all on bytes, all decided by seed, position and number alone.

    Args:
        pixels: Side of the pictures of a batch.
        crop: How a picture is brought to this size.
        flip: How often it is mirrored.
        randaugment: Operations on it, or None.
        erasing: Rectangles that are erased at last, or None.

    Raises:
        ValueError: If there are no pixels.
    """

    pixels: int
    crop: Crop
    flip: Flip = field(default_factory=Flip)
    randaugment: RandAugment | None = None
    erasing: RandomErasing | None = None

    def __post_init__(self) -> None:
        if self.pixels < 1:
            raise ValueError(f"pixels is {self.pixels}; it must be at least 1")

    def apply(self, picture: _Bytes, out: _Bytes, *, seed: int, position: int, number: int) -> None:
        """Write a sample to its row of the batch.

        Args:
            picture: Bytes of shape (rows, columns), or (rows, columns, 3).
            out: Bytes of shape (pixels, pixels), or (3, pixels, pixels), contiguous.
            seed: Of the run, 0 to ``2**64 - 1``.
            position: When the sample is read: its place in the endless order, or the epoch.
            number: Which sample of the dataset.

        Raises:
            ValueError: If shapes, types or numbers are not as described.
        """
        if out.shape[-2:] != (self.pixels, self.pixels):
            raise ValueError(
                f"a row of shape {out.shape}; this augmentation fills {self.pixels} x {self.pixels} pixels"
            )
        key = sample_key(seed=seed, position=position, number=number)
        self.crop.write(picture, out, key=key, flip=self.flip)
        planes = out[None] if out.ndim == 2 else out
        if self.randaugment is not None:
            self.randaugment.apply(planes, key=key)
        if self.erasing is not None:
            self.erasing.apply(planes, key=key)
