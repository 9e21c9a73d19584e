from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

Change = Callable[[NDArray[np.uint8]], None]
Reference = Callable[[Image.Image], Image.Image]


@pytest.fixture(scope="session")
def same_as_pillow() -> Callable[[Change, Reference, NDArray[np.uint8]], bool]:
    """Whether what changes planes in place does what a function of Pillow does to an image."""

    def same(change: Change, reference: Reference, picture: NDArray[np.uint8]) -> bool:
        """Compare both; the picture has shape (rows, columns) or (rows, columns, 3)."""
        planes = np.atleast_3d(picture).transpose(2, 0, 1).copy(order="C")
        change(planes)
        expected = np.asarray(reference(Image.fromarray(picture)))
        return np.array_equal(planes.transpose(1, 2, 0).reshape(picture.shape), expected)

    return same
