from collections.abc import Callable

import numpy as np
import pytest
from fujimi_data.augment.enhance import change_colour, change_sharpness
from PIL import ImageEnhance

Same = Callable[..., bool]
FACTORS = [0.0, 0.1, 0.37, 1.0, 1.63, 1.9, 3.0]


@pytest.mark.parametrize("factor", FACTORS)
def test_colours_are_those_of_pillow(same_as_pillow: Same, factor: float) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 61, 3), dtype=np.uint8)
    for values in (picture, picture[:, :, 0].copy()):
        assert same_as_pillow(
            lambda planes: change_colour(planes, np.float32(factor)),
            lambda image: ImageEnhance.Color(image).enhance(factor),
            values,
        )


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("shape", [(40, 61), (61, 40, 3), (3, 3), (2, 9), (9, 2, 3), (1, 1)])
def test_sharpness_is_that_of_pillow(same_as_pillow: Same, factor: float, shape: tuple[int, ...]) -> None:
    random = np.random.default_rng(0)
    for picture in (random.integers(0, 256, shape, dtype=np.uint8), random.choice(np.uint8([0, 255]), shape)):
        assert same_as_pillow(
            lambda planes: change_sharpness(planes, np.float32(factor)),
            lambda image: ImageEnhance.Sharpness(image).enhance(factor),
            picture,
        )
