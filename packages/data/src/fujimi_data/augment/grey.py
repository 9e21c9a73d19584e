"""Grey of a colour, as Pillow and the standard for television have it."""

import numpy as np

from fujimi_data.compiled import compiled


@compiled
def luma(red: np.int32, green: np.int32, blue: np.int32) -> np.int32:
    """``0.299 red + 0.587 green + 0.114 blue``, rounded, in fixed point.

    >>> luma(np.int32(124), np.int32(116), np.int32(104))
    117

    Source:
        ITU-R BT.601-7, section 2.5.1; Pillow 13.0, ``src/libImaging/Convert.c``, for the fixed point.
    """
    return np.int32((red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16)
