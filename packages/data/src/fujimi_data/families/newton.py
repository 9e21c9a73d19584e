"""Newton fractals: to which root of a polynomial Newton's method leads from each point, and in how many steps.

Nobody has published such pictures for pre-training; this definition is ours. A class is a polynomial of degree 3 to 8,
given by its roots in the unit disc, at least 0.3 apart, and a relaxation a from 0.5 to 1.5. From a point z, steps
``z - a / (1 / (z - r_1) + ... + 1 / (z - r_n))``, which are Newton's ``z - a p(z) / p'(z)``, are taken until z is
closer than 0.01 to a root. A picture shows a part of the plane: turned, stretched by up to a fifth, 1.6 to 4 wide, its
middle up to 0.5 from the origin. Each root has a level, which darkens with the number of steps; where no root is
reached it is black.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fujimi_data.families.basins import ROOTS, draw_basins, padded
from fujimi_data.families.colours import bright_colours
from fujimi_data.families.keys import CLASS_STREAM, KEPT_CLASSES, check, class_key, integer, real
from fujimi_data.threefry import Pair, words

#: Degrees of classes, if none is asked for.
DEGREES = (3, 8)
#: Steps may be so many.
MOST_ITERATIONS = 255
_SEPARATION = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Polynomial:
    """What all pictures of a class have in common.

    Args:
        roots: Complex numbers.
        relaxation: Of steps, 0.5 to 1.5.
    """

    roots: tuple[complex, ...]
    relaxation: float


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Where in the plane a picture lies: its point (u, v), both from -1 to 1, at ``middle + u across + v down``."""

    middle: complex
    across: complex
    down: complex


def render(
    *,
    seed: int,
    category: int,
    instance: int,
    pixels: int,
    colour: bool = False,
    degree: int = 0,
    iterations: int = 48,
) -> NDArray[np.uint8]:
    """Draw one picture, shape (pixels, pixels), or (pixels, pixels, 3) in colour.

    Args:
        seed: Of the data set, 0 to ``2**64 - 1``.
        category: Class, 0 to ``2**32 - 1``.
        instance: Picture of the class, 0 to ``2**32 - 2``.
        pixels: Side of the picture, 16 to 16,384.
        colour: Give each root red, green and blue of its own instead of a grey.
        degree: Of all classes, 3 to 8; 0 for one that each class draws.
        iterations: Most steps, 1 to 255.

    Raises:
        ValueError: If an argument is outside its range.
    """
    check(seed=seed, category=category, instance=instance, pixels=pixels)
    if degree and not DEGREES[0] <= degree <= DEGREES[1]:
        raise ValueError(f"degree is {degree}; it must be 0 or from {DEGREES[0]} to {DEGREES[1]}")
    if not 1 <= iterations <= MOST_ITERATIONS:
        raise ValueError(f"iterations is {iterations}; it must be from 1 to {MOST_ITERATIONS}")
    key = class_key(seed, category)
    polynomial = polynomial_of(key, degree)
    view, levels = view_of(key, instance, iterations=iterations, colour=colour)
    picture = draw(polynomial, view, levels, pixels=pixels)
    return picture if colour else picture[:, :, 0]


def basins(
    polynomial: Polynomial, view: View, *, pixels: int, iterations: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Root that each pixel's point reaches, 8 for none, and the number of steps, each of shape (pixels, pixels)."""
    levels = np.empty((ROOTS + 1, iterations + 1, 2), dtype=np.uint8)
    levels[:, :, 0], levels[:, :, 1] = np.arange(ROOTS + 1)[:, None], np.arange(iterations + 1)
    picture = draw(polynomial, view, levels, pixels=pixels)
    return picture[:, :, 0], picture[:, :, 1]


def draw(polynomial: Polynomial, view: View, levels: NDArray[np.uint8], *, pixels: int) -> NDArray[np.uint8]:
    """Draw a class from a view, shape (pixels, pixels, channels).

    Args:
        polynomial: The class.
        view: Where in the plane.
        levels: Of each root, and of none, after each number of steps; shape (9, most steps + 1, channels).
        pixels: Side of the picture.
    """
    picture = np.empty((pixels, pixels, levels.shape[2]), dtype=np.uint8)
    roots, relaxation = padded(polynomial.roots), np.float32(polynomial.relaxation)
    draw_basins(*roots, relaxation, view.middle, view.across, view.down, levels, picture)
    return picture


@lru_cache(maxsize=KEPT_CLASSES)
def polynomial_of(key: Pair, degree: int = 0) -> Polynomial:
    """Draw a class; of a degree, or of one that it draws."""
    # a tenth of the disc is taken by a root at most: in 500 tries, all have their place
    draws = words(key, stream=CLASS_STREAM, pairs=512)
    count = degree or integer(int(draws[0, 0]), *DEGREES)
    roots: list[complex] = []
    for word_0, word_1 in draws[1:].tolist():
        root = complex(real(word_0, -1, 1), real(word_1, -1, 1))
        if abs(root) < 1 and all(abs(root - other) >= _SEPARATION for other in roots):
            roots.append(root)
        if len(roots) == count:
            break
    return Polynomial(roots=tuple(roots), relaxation=real(int(draws[0, 1]), 0.5, 1.5))


def view_of(key: Pair, instance: int, *, iterations: int, colour: bool) -> tuple[View, NDArray[np.uint8]]:
    """Draw a view, and the level of each root after each number of steps, shape (9, iterations + 1, channels)."""
    draws = words(key, stream=instance, pairs=12)
    turn, width, stretch, axis, around, away = (int(word) for word in draws[:3].reshape(-1))
    half = 0.8 * 2.5 ** real(width, 0, 1)
    factor = 1.2 ** real(stretch, -0.5, 0.5)
    turned, along = _unit(real(turn, 0, 1)), _unit(real(axis, 0, 1))
    # turned back from the axis, stretched along the real axis and shrunk along the other, turned again
    across, down = (
        half * turned * along * complex((unit / along).real * factor, (unit / along).imag / factor) for unit in (1, 1j)
    )
    middle = 0.5 * math.sqrt(real(away, 0, 1)) * _unit(real(around, 0, 1))
    return View(middle=middle, across=across, down=down), _levels(draws[3:], iterations, colour)


def _unit(turn: float) -> complex:
    return complex(math.cos(2 * math.pi * turn), math.sin(2 * math.pi * turn))


def _levels(draws: NDArray[np.uint32], iterations: int, colour: bool) -> NDArray[np.uint8]:
    if colour:
        brightest = bright_colours(draws[:ROOTS, 0]).astype(np.float64)
    else:
        # eight greys at equal distances, in random order
        brightest = 80 + 25 * np.argsort(draws[:ROOTS, 0], kind="stable")[:, None].astype(np.float64)
    fall = real(int(draws[ROOTS, 0]), 6, 24)
    light = fall / (fall + np.arange(iterations + 1))
    levels = np.zeros((ROOTS + 1, iterations + 1, brightest.shape[1]), dtype=np.uint8)
    levels[:ROOTS] = brightest[:, None] * light[:, None]
    return levels
