"""Layouts: pictures come interleaved, as files hold them, and leave planar, as devices want them."""

import numpy as np
from numpy.typing import NDArray

_Bytes = NDArray[np.uint8]


def lines_and_planes(picture: _Bytes, out: _Bytes) -> tuple[_Bytes, _Bytes]:
    """Bring a picture and the row of a batch that it is written to into the shapes of the kernels.

    Args:
        picture: Shape (rows, columns) or (rows, columns, 3).
        out: Shape (new rows, new columns) or (3, new rows, new columns), contiguous.

    Returns:
        Views of shape (rows, columns * channels) and (channels, new rows, new columns); the picture is copied if its
        colours do not lie together.

    Raises:
        ValueError: If the shapes do not belong together, the type is not uint8, or the row is not contiguous.
    """
    if picture.dtype != np.uint8 or out.dtype != np.uint8 or not out.flags.c_contiguous:
        raise ValueError(f"a picture of {picture.dtype} for a row of {out.dtype}: both are uint8, the row contiguous")
    if picture.ndim == 2 and out.ndim == 2 and picture.size and out.size:
        return picture, out[None]
    if picture.ndim == 3 and picture.shape[2] == 3 and out.ndim == 3 and len(out) == 3 and picture.size and out.size:
        return picture.reshape(len(picture), -1), out
    raise ValueError(
        f"a picture of shape {picture.shape} for a row of shape {out.shape}: "
        "(rows, columns) is written to (rows, columns), (rows, columns, 3) to (3, rows, columns)"
    )
