"""Contractive systems, drawn by the singular values of their maps."""

import math

import numpy as np
from numpy.typing import NDArray

from fujimi_data.families.ifs_orbit import System

#: Uniform numbers that a map takes; the weighted sum takes one more in all, and the last map one less.
NUMBERS = 10
_WORDS = 2.0**32


def default_sum(maps: int) -> tuple[float, float]:
    """Least and most of the weighted sum of singular values that suit so many maps."""
    return (5 + maps) / 2, (6 + maps) / 2


def uniforms_of(words: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Uniform numbers, at least 0 and below 1, of words."""
    # off the middle, where a reflection could not be decided
    return (words.reshape(-1).astype(np.float64) + 0.5) / _WORDS


def maps_of(
    uniforms: NDArray[np.float64],
    *,
    weighted_sum: tuple[float, float],
    translation: float = 1.0,
    as_numpy: bool = False,
) -> NDArray[np.float64]:
    """Draw maps that contract.

    Each is a random rotation, perhaps with a reflection, a stretch by two singular values, and another such rotation.
    The larger singular values plus twice the smaller ones, of all maps together, are a number that is drawn first: the
    larger it is, the denser is the fractal.

    Args:
        uniforms: 10 for each map, at least 0 and below 1, in the order in which the authors' code draws them.
        weighted_sum: Least and most of the sum.
        translation: Most along each axis.
        as_numpy: Whether to take sines and multiply matrices as numpy does on this machine, as the authors do.
            Otherwise all machines give the same.

    Returns:
        Parameters a, b, c, d, e, f of each, shape (maps, 6): ``x' = a x + b y + e``, ``y' = c x + d y + f``.

    Source:
        C. Anderson, R. Farrell, "Improving Fractal Pre-training", WACV 2022, section 3.2; repository
        fractal-pretraining, ``fractal_learning/fractals/ifs.py``.
    """
    maps = len(uniforms) // NUMBERS
    signs, angles, rest = np.split(uniforms, [4 * maps, 6 * maps])
    turns = _turns(np.sign(signs.reshape(-1, 2) - 0.5), -np.pi + (np.pi - -np.pi) * angles, as_numpy=as_numpy)
    values = singular_values(rest[1 : 2 * maps], total=_between(*weighted_sum, rest[0]))
    left, right = turns[:maps] * values[:, None, :], turns[maps:]
    linear = left @ right if as_numpy else left[:, :, :1] * right[:, :1, :] + left[:, :, 1:] * right[:, 1:, :]
    moved = -translation + (translation - -translation) * rest[2 * maps :].reshape(maps, 2)
    return np.concatenate((linear.reshape(maps, 4), moved), axis=1)


def _turns(signs: NDArray[np.float64], angles: NDArray[np.float64], *, as_numpy: bool) -> NDArray[np.float64]:
    """Rotations of reflections along the axes, shape (matrices, 2, 2)."""
    cos, sin = np.cos(angles), np.sin(angles)
    if not as_numpy:
        cos, sin = (np.array([function(angle) for angle in angles]) for function in (math.cos, math.sin))
    return np.stack((np.stack((cos, -sin), axis=1), np.stack((sin, cos), axis=1)), axis=1) * signs[:, None, :]


def singular_values(uniforms: NDArray[np.float64], *, total: float) -> NDArray[np.float64]:
    """Draw pairs of singular values whose weighted sum is given.

    One after the other takes what leaves the others a choice: none is above 1, and in each pair none above the first.

    Args:
        uniforms: Two for each pair, but one for the last.
        total: Sum over the pairs of the first, and twice the second; 0 to 3 for each pair.

    Returns:
        Shape (pairs, 2).
    """
    pairs = len(uniforms) // 2 + 1
    values = np.empty((pairs, 2))
    left, needed = total, total - 3 * pairs + 3
    for pair in range(pairs - 1):
        first = _between(max(0.0, needed / 3), min(1.0, left), uniforms[2 * pair])
        needed -= first
        left -= first
        second = _between(max(0.0, needed / 2), min(first, left / 2), uniforms[2 * pair + 1])
        needed = needed - 2 * second + 3
        left -= 2 * second
        values[pair] = first, second
    second = _between(max(0.0, (left - 1) / 2), left / 3, uniforms[-1])
    values[-1] = left - 2 * second, second
    return values


def _between(low: float, high: float, uniform: float) -> float:
    return low + (high - low) * uniform


def system_of(parameters: NDArray[np.float64]) -> System:
    """A system whose maps are chosen in proportion to ``|a d - b c|``.

    Args:
        parameters: Shape (maps, 6).
    """
    a, b, c, d = parameters[:, :4].T
    areas = np.abs(a * d - b * c)
    return np.column_stack((parameters, areas / areas.sum()))
