"""Moire patterns: a pure function, different for every number that goes in."""

import numpy as np
import pytest
from fujimi_acme.moire import render

NUMBERS = {"seed": 1, "category": 2, "instance": 3, "pixels": 64}


def test_same_numbers_give_the_same_picture_in_any_order() -> None:
    first = render(**NUMBERS)
    render(**NUMBERS | {"instance": 4})
    assert (render(**NUMBERS) == first).all()


@pytest.mark.parametrize("number", ["seed", "category", "instance"])
def test_every_number_matters(number: str) -> None:
    assert (render(**NUMBERS | {number: 9}) != render(**NUMBERS)).any()


def test_pictures_of_a_category_are_more_alike_than_pictures_of_two() -> None:
    def spectrum(category: int, instance: int) -> np.ndarray:
        light = render(seed=0, category=category, instance=instance, pixels=64).astype(float)
        size = np.abs(np.fft.fft2(light - light.mean()))
        return size / np.linalg.norm(size)

    inside = [(spectrum(c, 0) * spectrum(c, 1)).sum() for c in range(10)]
    between = [(spectrum(c, 0) * spectrum(c + 1, 0)).sum() for c in range(10)]
    assert np.mean(inside) > np.mean(between) + 0.2


@pytest.mark.parametrize("pixels", [1, 7, 224])
def test_any_side_can_be_drawn(pixels: int) -> None:
    assert render(**NUMBERS | {"pixels": pixels}).shape == (pixels, pixels)


def test_pictures_use_most_of_the_grey_levels() -> None:
    picture = render(seed=0, category=0, instance=0, pixels=224)
    assert picture.min() == 0
    assert picture.max() > 200
