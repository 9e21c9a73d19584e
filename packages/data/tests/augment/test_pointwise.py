from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fujimi_data.augment import pointwise
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

Same = Callable[..., bool]
CHANNELS = st.sampled_from([1, 3])


def picture_of(values: list[int], rows: int, columns: int, channels: int) -> NDArray[np.uint8]:
    """A picture with these values only, in random order."""
    random = np.random.default_rng([rows, columns])
    picture = random.choice(np.array(values, dtype=np.uint8), (rows, columns, channels))
    return picture if channels == 3 else picture[:, :, 0].copy()


def check(
    same: Same, operation: int, argument: float, picture: NDArray[np.uint8], reference: Callable[..., Any]
) -> None:
    assert same(lambda planes: pointwise.change_values(planes, operation, float(argument)), reference, picture)


@given(st.lists(st.integers(0, 255), min_size=1, max_size=9), st.integers(1, 40), st.integers(1, 40), CHANNELS)
@example([7], 5, 5, 3)
@example([0, 255], 40, 40, 1)
@example(list(range(256)), 16, 17, 1)
@example(list(range(250, 256)), 17, 20, 1)
def test_what_depends_on_the_histogram_is_as_in_pillow(
    same_as_pillow: Same, values: list[int], rows: int, columns: int, channels: int
) -> None:
    picture = picture_of(values, rows, columns, channels)
    check(same_as_pillow, pointwise.AUTO_CONTRAST, 0, picture, ImageOps.autocontrast)
    check(same_as_pillow, pointwise.EQUALIZE, 0, picture, ImageOps.equalize)


@given(st.lists(st.integers(0, 255), min_size=1), st.integers(1, 40), CHANNELS, st.floats(0, 3))
@example([3, 200], 20, 3, 0.0)
@example([3, 200], 20, 3, 1.0)
@example(list(range(256)), 40, 1, 1.9)
@example(list(range(256)), 40, 1, 0.1)
def test_contrast_and_brightness_are_those_of_pillow(
    same_as_pillow: Same, values: list[int], side: int, channels: int, factor: float
) -> None:
    picture = picture_of(values, side, side, channels)
    check(
        same_as_pillow, pointwise.CONTRAST, factor, picture, lambda image: ImageEnhance.Contrast(image).enhance(factor)
    )
    check(
        same_as_pillow,
        pointwise.BRIGHTNESS,
        factor,
        picture,
        lambda image: ImageEnhance.Brightness(image).enhance(factor),
    )


ALL = np.arange(256, dtype=np.uint8).reshape(16, 16)


def test_inversion_is_that_of_pillow(same_as_pillow: Same) -> None:
    check(same_as_pillow, pointwise.INVERT, 0, ALL, ImageOps.invert)


@pytest.mark.parametrize("bits", range(1, 9))
def test_posterized_values_are_those_of_pillow(same_as_pillow: Same, bits: int) -> None:
    check(same_as_pillow, pointwise.POSTERIZE, bits, ALL, lambda image: ImageOps.posterize(image, bits))


def test_no_bits_leave_black(same_as_pillow: Same) -> None:
    check(same_as_pillow, pointwise.POSTERIZE, 0, ALL, lambda image: Image.new("L", image.size))


@pytest.mark.parametrize("threshold", [0, 1, 128, 255, 256])
def test_solarized_values_are_those_of_pillow(same_as_pillow: Same, threshold: int) -> None:
    check(same_as_pillow, pointwise.SOLARIZE, threshold, ALL, lambda image: ImageOps.solarize(image, threshold))


@pytest.mark.parametrize("add", [0, 1, 99, 110, 128])
def test_dark_values_are_raised_as_in_timm(same_as_pillow: Same, add: int) -> None:
    # solarize_add of timm 1.0, auto_augment.py
    table = [min(255, i + add) if i < 128 else i for i in range(256)]
    check(same_as_pillow, pointwise.SOLARIZE_ADD, add, ALL, lambda image: image.point(table))
