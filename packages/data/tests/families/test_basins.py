import math

import numpy as np
import pytest
from fujimi_data.families.keys import class_key
from fujimi_data.families.newton import Polynomial, View, basins, polynomial_of, view_of
from numpy.typing import NDArray

SQUARE = View(middle=0j, across=1.5 + 0j, down=1.5j)


def points_of(view: View, pixels: int) -> NDArray[np.complex128]:
    centres = (2 * np.arange(pixels) + 1) / pixels - 1
    return view.middle + view.across * centres[None, :] + view.down * centres[:, None]


def newton(
    z: NDArray[np.complex128], polynomial: Polynomial, iterations: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Roots and steps in 64 bits, with the polynomial and its derivative by their coefficients."""
    p = np.polynomial.Polynomial.fromroots(polynomial.roots)
    roots = np.array(polynomial.roots)
    steps = np.zeros(z.shape, dtype=np.int64)
    with np.errstate(all="ignore"):
        for _ in range(iterations):
            moves = np.abs(z[..., None] - roots).min(axis=-1) >= 0.01
            z = np.where(moves, z - polynomial.relaxation * p(z) / p.deriv()(z), z)
            steps += moves
    distances = np.abs(z[..., None] - roots)
    return np.where(distances.min(axis=-1) < 0.01, distances.argmin(axis=-1), 8), steps


def unity(degree: int, relaxation: float = 1.0) -> Polynomial:
    roots = tuple(complex(math.cos(t), math.sin(t)) for t in 2 * math.pi * np.arange(degree) / degree)
    return Polynomial(roots=roots, relaxation=relaxation)


@pytest.mark.parametrize("category", range(6))
def test_roots_and_steps_are_those_of_newtons_method_in_64_bits(category: int) -> None:
    key = class_key(1, category)
    polynomial, view = polynomial_of(key), view_of(key, 0, iterations=1, colour=False)[0]
    roots, steps = basins(polynomial, view, pixels=150, iterations=30)
    expected_roots, expected_steps = newton(points_of(view, 150), polynomial, 30)
    # beside a border, which is everywhere near another root's basin, 32 bits may lead elsewhere
    assert (roots == expected_roots).mean() > 0.99
    assert (steps == expected_steps).mean() > 0.99
    assert len(np.unique(roots)) > len(polynomial.roots) - 2


def test_square_roots_of_one_have_a_half_plane_each() -> None:
    roots, steps = basins(unity(2), View(middle=0j, across=1.3 + 0.7j, down=-0.7 + 1.3j), pixels=200, iterations=60)
    z = points_of(View(middle=0j, across=1.3 + 0.7j, down=-0.7 + 1.3j), 200)
    between = np.abs(z.real) < 1e-9
    assert np.array_equal(roots, np.where(between, 8, np.where(z.real > 0, 0, 1)))
    assert between.sum() == 16
    assert steps[~between].max() < 40


@pytest.mark.parametrize("degree", [3, 4, 5, 7, 8])
@pytest.mark.parametrize("relaxation", [1.0, 0.6])
def test_roots_of_one_give_pictures_with_their_symmetry(degree: int, relaxation: float) -> None:
    polynomial = unity(degree, relaxation)
    turned = polynomial.roots[1]
    askew = View(middle=0j, across=1.4 + 0.4j, down=-0.4 + 1.4j)
    view = View(middle=0j, across=askew.across * turned, down=askew.down * turned)
    # from the middle, a step leads far away, and each step back is short
    roots, steps = basins(polynomial, askew, pixels=128, iterations=255)
    turned_roots, turned_steps = basins(polynomial, view, pixels=128, iterations=255)
    reached = roots < 8
    assert reached.mean() > 0.99
    assert ((roots[reached] + 1) % degree == turned_roots[reached]).mean() > 0.96
    assert (steps == turned_steps).mean() > 0.96


def test_points_that_a_few_steps_do_not_bring_to_a_root_have_none() -> None:
    roots, steps = basins(unity(5), SQUARE, pixels=100, iterations=2)
    expected, expected_steps = newton(points_of(SQUARE, 100), unity(5), 2)
    assert (roots == expected).mean() > 0.999
    assert (steps == expected_steps).mean() > 0.999
    assert (roots == 8).mean() > 0.5
    assert steps.max() == 2


def test_a_point_on_a_root_takes_no_step() -> None:
    roots, steps = basins(unity(4), View(middle=1j, across=1e-6 + 0j, down=1e-6j), pixels=17, iterations=48)
    assert (roots == 1).all()
    assert (steps == 0).all()


def test_where_the_derivative_is_zero_no_root_is_reached() -> None:
    roots, steps = basins(unity(4), View(middle=0j, across=1e-12 + 0j, down=0j), pixels=17, iterations=48)
    # the middle column is the origin itself
    assert (roots[:, 8] == 8).all()
    assert (steps[:, 8] == 48).all()
