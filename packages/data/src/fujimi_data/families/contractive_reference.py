"""Contractive systems pixel for pixel as their authors draw them, from the random numbers that they draw."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled
from fujimi_data.families.bulk_random import BulkRandom
from fujimi_data.families.contractive_systems import NUMBERS, default_sum, maps_of, system_of
from fujimi_data.families.density import (
    LEAST_SATURATION,
    LEAST_VALUE,
    MARGIN,
    PIXEL,
    count_points,
    levels_of,
    shown,
    stamped,
)
from fujimi_data.families.ifs_orbit import System

_Floats = NDArray[np.float64]


def reference_system(random: np.random.Generator, *, least_maps: int, most_maps: int) -> System:
    """Draw a system as the authors' ``sample_system((least_maps, most_maps + 1), rng=random)`` does."""
    maps = int(random.integers(least_maps, most_maps + 1))
    uniforms = random.random(NUMBERS * maps)
    return system_of(maps_of(uniforms, weighted_sum=default_sum(maps), as_numpy=True))


def reference_picture(
    system: System, *, seed: int, points: int, pixels: int, look: str, colour: bool, patch: bool
) -> NDArray[np.uint8]:
    """Draw a system as the authors do.

    Args:
        system: Whose maps contract.
        seed: What ``numpy.random.seed`` is given, both in compiled code, which draws points and colours, and outside,
            where the stamp is drawn.
        points: At least 1.
        pixels: Side of the picture.
        look: See :func:`levels_of`.
        colour: See :func:`levels_of`.
        patch: Whether points set a stamp of 3 by 3 random pixels.

    Source:
        Repository fractal-pretraining, ``fractal_learning/fractals/ifs.py``: ``iterate``, ``render``, ``colorize``.
    """
    numbers = BulkRandom.of_numpy(seed)
    xs, ys = np.empty(points), np.empty(points)
    _walk(xs, ys, system, np.cumsum(system[:, 6]), numbers.uniforms(points))
    width = pixels + 2 * MARGIN
    places = (_pixels_of(xs, pixels) + MARGIN) * width + _pixels_of(ys, pixels) + MARGIN
    counts = np.zeros(width * width, dtype=np.uint32)
    count_points(counts, places.astype(np.int32))
    covered = stamped(counts.reshape(width, width), _stamp(seed) if patch else PIXEL)
    hue, saturation, value = numbers.uniforms(3).tolist()
    levels = levels_of(
        int(covered.max()),
        look=look,
        colour=colour,
        hue=hue * 255,
        saturation=int((LEAST_SATURATION + (1 - LEAST_SATURATION) * saturation) * 255),
        value=int((LEAST_VALUE + (1 - LEAST_VALUE) * value) * 255),
    )
    return shown(covered, levels)


@compiled
def _walk(xs: _Floats, ys: _Floats, system: System, cumulative: _Floats, uniforms: _Floats) -> None:
    """Write the points that a random sequence of maps sends the fixed point of the first map to."""
    a, b, c, d, e, f, _ = system[0]
    scale = 1 / (1 + (a * d - b * c) - a - d)
    x = scale * ((1 - d) * e + b * f)
    y = scale * ((1 - a) * f + c * e)
    for i in range(len(xs)):
        j = 0
        while j < len(system) - 1 and uniforms[i] >= cumulative[j]:
            j += 1
        x, y = system[j, 0] * x + system[j, 1] * y + system[j, 4], system[j, 2] * x + system[j, 3] * y + system[j, 5]
        xs[i], ys[i] = x, y


def _pixels_of(values: _Floats, pixels: int) -> NDArray[np.int64]:
    low, high = values.min(), values.max()
    scaled: _Floats = (values - low) * ((pixels - 1) / (high - low if high > low else 1.0))
    return scaled.astype(np.int64)


def _stamp(seed: int) -> int:
    drawn = np.random.RandomState(seed).randint(0, 2, (9,), dtype=bool)
    return sum(1 << bit for bit in range(9) if drawn[bit])
