"""Colours of random words."""

import numpy as np
from numpy.typing import NDArray


def bright_colours(drawn: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """A colour for each word, shape (words, 3), whose largest channel is 255.

    Args:
        drawn: Shape (words,); the low 24 bits count.
    """
    channels = (drawn.astype(np.uint64)[:, None] >> np.array([0, 8, 16], dtype=np.uint64) & 255) + 1
    colours: NDArray[np.uint8] = (channels * 255 // channels.max(axis=1, keepdims=True)).astype(np.uint8)
    return colours
