"""ExFractalDB and MV-FractalDB as the authors' programs draw them, from the random numbers of numpy and Python.

``category_search.py`` finds classes one after another in the numbers of ``numpy.random.RandomState(seed)``;
``instance.py`` makes the models of a class, with numbers that nobody seeds; ``render.py`` draws each from twelve sides
with OpenGL, with unseeded numbers of ``random``.

Faults of theirs that are kept here, and mended in the default mode: the viewpoint is moved by ``radians(uniform(-pi,
pi))``, which is 3 degrees at most and not half a turn; row 108 of the weights repeats row 98 instead of multiplying the
ninth parameter by 1.6; means are those of 10,000 points though there are 9,999; pictures are upside down. 3D-OFDB's
program takes row 0 of the same weights, which multiplies the first parameter by 0.4, for the system itself.

Source:
    H. Kataoka et al., "Replacing Labeled Real-image Datasets with Auto-generated Contours", CVPR 2022, and the authors'
    ``exfractaldb_render``; R. Nakamura et al., "Pre-training Vision Transformers with Very Limited Synthesized Images",
    ICCV 2023, and the authors' ``3d-ofdb-generator``.
"""

import math
import random
from collections.abc import Iterator
from functools import lru_cache
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled
from fujimi_data.families.ifs3d import ANGLE, DISTANCE, NEAR
from fujimi_data.families.program import reference_source

_Floats = NDArray[np.float64]
_POINTS = 10_000
_VARIANCE = 0.05
# OpenGL implementations round places to this part of a pixel before they decide which pixel it is.
_SUBPIXELS = 256


def _weights() -> _Floats:
    """Factors of the twelve parameters in each model of a class, shape (145, 12): ``weights_ins145.csv``."""
    factors = [tenths / 10 for tenths in range(4, 17)]
    rows = [(parameter, factor) for parameter in range(12) for factor in factors if parameter == 0 or factor != 1]
    weights = np.ones((len(rows), 12))
    for row, (parameter, factor) in enumerate(rows):
        weights[row, parameter] = factor
    weights[108, 8] = 0.6
    return weights


#: Factors of the twelve parameters in each model of a class, shape (145, 12).
WEIGHTS = _weights()


def picture(
    *, seed: int, category: int, instance: int, pixels: int, models: int, model_views: int
) -> NDArray[np.uint8]:
    """Draw one picture; pictures of a class are the views of its models in turn.

    The class is number ``category`` that ``search`` finds from ``numpy.random.RandomState(seed)``: to draw one, all
    before it are searched for once, in some 0.02 s each. A model's numbers come from ``numpy.random.RandomState([seed,
    category, model])``, a view's from ``program.reference_source``. A model that is not a number is black; the
    authors' programs leave it out.

    Raises:
        ValueError: If the seed is not one of numpy's.
    """
    if seed >= 2**32:
        raise ValueError(f"seed is {seed}; it must be below {2**32} in reference mode, as numpy's are")
    number, view = instance // model_views % models, instance % model_views
    jitter = reference_source(seed=seed, category=category, instance=instance).uniform(-math.pi, math.pi)
    return draw(_model(seed, category, number), heading(view / model_views, jitter), pixels=pixels)


@lru_cache(maxsize=32)
def _model(seed: int, category: int, number: int) -> _Floats:
    system = _found(seed).system(category)
    return model(np.random.RandomState([seed, category, number]), system, WEIGHTS[number])


def search(source: np.random.RandomState) -> Iterator[_Floats]:
    """Find classes as ``category_search.py`` does with ``--variance=0.05``: what it writes to its files, row by row.

    Args:
        source: In the state of numpy's after ``numpy.random.seed(seed)`` for the numbers of ``--seed=seed``.

    Returns:
        Of each class, an array of shape (maps, 13): rows of the matrix, the translation, the probability.
    """
    while True:
        system = np.zeros((source.randint(2, 8), 13))
        for row in system:
            row[:12] = source.uniform(-1.0, 1.0, 12)
            row[12] = abs(np.linalg.det(row[:9].reshape(3, 3)))
        system[:, 12] /= sum(system[:, 12])
        points = _orbit(system, source.random_sample(_POINTS))
        # most fail by far, which a rough sum shows
        if _least_variance(points) > 0.999 * _VARIANCE and (np.var(_normalised(points), axis=1) > _VARIANCE).all():
            yield system


def model(source: np.random.RandomState, system: _Floats, weights: _Floats) -> _Floats:
    """Make a cloud as ``instance.py`` does, shape (3, 9999); not a number if the system diverges so far.

    Args:
        source: Gives 10,000 numbers.
        system: Shape (maps, 13).
        weights: Factors of the first twelve columns.
    """
    weighted = system.copy()
    weighted[:, :12] *= weights
    return _normalised(_orbit(weighted, source.random_sample(_POINTS)))


@compiled
def _orbit(system: _Floats, uniforms: _Floats) -> _Floats:
    limits = np.cumsum(system[:, 12])
    points = np.empty((3, len(uniforms) - 1))
    x = y = z = 0.0
    for i in range(points.shape[1]):
        for m in range(len(system)):
            if uniforms[i] <= limits[m]:
                a = system[m]
                x, y, z = (
                    x * a[0] + y * a[1] + z * a[2] + a[9],
                    x * a[3] + y * a[4] + z * a[5] + a[10],
                    x * a[6] + y * a[7] + z * a[8] + a[11],
                )
                break
        points[0, i], points[1, i], points[2, i] = x, y, z
    return points


@compiled
def _least_variance(points: _Floats) -> float:
    """Of coordinates that span 2; not a number if the points are not."""
    least = np.inf
    for axis in range(3):
        total = squares = 0.0
        for value in points[axis]:
            total += value
            squares += value * value
        mean = total / points.shape[1]
        least = min(least, squares / points.shape[1] - mean * mean)
    return float(4.0 * least / (points.max() - points.min()) ** 2)


def _normalised(points: _Floats) -> _Floats:
    with np.errstate(all="ignore"):
        low, high = points.min(), points.max()
        scaled: _Floats = ((points - low) / (high - low)) * 2.0 - 1.0
        scaled -= (_sums(scaled) / _POINTS)[:, None]
    return scaled


@compiled
def _sums(points: _Floats) -> _Floats:
    sums = np.zeros(3)
    for axis in range(3):
        for value in points[axis]:
            sums[axis] += value
    return sums


class _Found:
    """The classes that a seed has given so far."""

    def __init__(self, seed: int) -> None:
        self._search = search(np.random.RandomState(seed))
        self._systems: list[_Floats] = []
        self._lock = Lock()

    def system(self, category: int) -> _Floats:
        with self._lock:
            while len(self._systems) <= category:
                self._systems.append(next(self._search))
            return self._systems[category]


@lru_cache(maxsize=4)
def _found(seed: int) -> _Found:
    return _Found(seed)


def heading(turn: float, jitter: float) -> float:
    """Where the camera looks to, as an angle from x towards z [radians].

    Args:
        turn: About the upright axis, from 0 to 1.
        jitter: From -pi to pi, which is taken for degrees.
    """
    return -(turn * math.pi * 2 + math.radians(30) + math.radians(jitter))


def draw(points: _Floats, heading: float, *, pixels: int) -> NDArray[np.uint8]:
    """Draw a cloud as ``render.py`` does: white points of a pixel on black, the lowest row first.

    Coordinates are rounded to 32 bits, as the shader takes them, and places to 1/256 of a pixel, as Mesa does; OpenGL
    does not say how.

    Args:
        points: Shape (3, count).
        heading: Where the camera looks to, as an angle from x towards z [radians].
        pixels: Side of the picture.
    """
    x, y, z = points.astype(np.float32).astype(np.float64)
    cos, sin = math.cos(heading), math.sin(heading)
    with np.errstate(invalid="ignore"):
        depth = DISTANCE + x * cos + z * sin
        zoomed = pixels / 2 / math.tan(ANGLE / 2) / depth
        column, row = (
            np.floor(np.rint((pixels / 2 + along * zoomed) * _SUBPIXELS) / _SUBPIXELS)
            for along in (z * cos - x * sin, y)
        )
        seen = (depth >= NEAR) & (column >= 0) & (column < pixels) & (row >= 0) & (row < pixels)
    drawn = np.zeros((pixels, pixels), dtype=np.uint8)
    drawn[row[seen].astype(np.intp), column[seen].astype(np.intp)] = 255
    return drawn


def reference_order(source: random.Random, *, models: int, model_views: int = 12) -> Iterator[tuple[int, float]]:
    """Models and headings of a class in the order of ``render.py``, with jitters from one sequence of numbers."""
    for number in range(models):
        for view in range(model_views):
            yield number, heading(view / model_views, source.uniform(-math.pi, math.pi))
