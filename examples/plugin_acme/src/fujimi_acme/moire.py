"""Moire patterns: gratings laid over each other, drawn from a formula."""

import numpy as np
from numpy.typing import NDArray

GRATINGS = 3


def render(*, seed: int, category: int, instance: int, pixels: int) -> NDArray[np.uint8]:
    """Draw one picture.

    A grating of frequency f, angle a and phase p lets ``(1 + cos(2 pi f (x cos a + y sin a) + p)) / 2`` of the light
    through, and the picture is what is left behind all of them. The category sets the frequencies and angles; the
    instance sets the phases and turns everything by up to 5 degrees.

    >>> picture = render(seed=0, category=7, instance=3, pixels=32)
    >>> picture.shape, picture.dtype.name
    ((32, 32), 'uint8')

    Args:
        seed: Of the whole data set.
        category: Number of the category, from 0.
        instance: Number of the picture in its category, from 0.
        pixels: Side of the picture.

    Returns:
        Grey picture of shape (pixels, pixels).
    """
    of_category = np.random.default_rng([seed, category])
    frequency = of_category.uniform(3, 16, GRATINGS)
    angle = of_category.uniform(0, np.pi, GRATINGS)

    of_instance = np.random.default_rng([seed, category, instance])
    phase = of_instance.uniform(0, 2 * np.pi, GRATINGS)
    angle = angle + np.deg2rad(of_instance.uniform(-5, 5))

    y, x = np.mgrid[0:pixels, 0:pixels] / pixels
    light = np.ones((pixels, pixels))
    for f, a, p in zip(frequency, angle, phase, strict=True):
        light *= (1 + np.cos(2 * np.pi * f * (x * np.cos(a) + y * np.sin(a)) + p)) / 2
    grey: NDArray[np.uint8] = np.rint(255 * light).astype(np.uint8)
    return grey
