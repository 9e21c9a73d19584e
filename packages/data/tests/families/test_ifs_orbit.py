import numpy as np
import pytest
from fujimi_data.families.bulk_random import BulkRandom
from fujimi_data.families.fractaldb_search import with_probabilities
from fujimi_data.families.ifs_orbit import System, choose, orbit_places
from numpy.typing import NDArray

# a map that doubles, and turns: points run away until they are no numbers
RUNAWAY = np.array([[1.2, -1.1, 1.1, 1.2, 0.5, 0.1, 0.7], [0.5, 0.0, 0.0, 0.5, 0.2, 0.3, 0.3]])


def systems() -> list[System]:
    random = np.random.default_rng(4)
    return [with_probabilities(random.uniform(-0.8, 0.8, (maps, 6))) for maps in (2, 3, 7)]


def slow_points(system: System, uniforms: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The definition, in Python's numbers."""
    x = y = 0.0
    points = [(x, y)]
    for uniform in uniforms[:-1].tolist():
        bound = 0.0
        for a, b, c, d, e, f, p in system.tolist():
            bound += p
            if uniform <= bound:
                x, y = x * a + y * b + e, x * c + y * d + f
                break
        points.append((x, y))
    xs, ys = np.array(points).T
    return xs, ys


def slow_places(xs: NDArray[np.float64], ys: NDArray[np.float64], pixels: int) -> list[list[int]]:
    """The definition, with numpy: what is no number is deleted with the 100 points before, first by x, then by y."""
    for _ in range(2):
        broken = np.flatnonzero(np.isnan(xs)) if np.isnan(xs).any() else np.flatnonzero(np.isnan(ys))
        if len(broken):
            deleted = np.append(np.arange(broken[0] - 100, broken[0]), broken)
            xs, ys = np.delete(xs, deleted), np.delete(ys, deleted)
    places = []
    with np.errstate(invalid="ignore"):
        for values in (xs, ys):
            shifted = values - values.min() if values.min() < 0 else values
            scaled = shifted / (shifted.max() - shifted.min()) * float(pixels - 12) + 6.0
            places.append([0 if np.isnan(value) else int(value) for value in scaled])
    return places


def places_of(system: System, points: int, pixels: int) -> list[list[int]]:
    chosen = np.empty(points, dtype=np.uint8)
    choose(chosen, system, BulkRandom.of_numpy(9))
    return [places.tolist() for places in orbit_places(system, chosen, pixels=pixels)]


def slowly(system: System, points: int, pixels: int) -> list[list[int]]:
    return slow_places(*slow_points(system, np.random.RandomState(9).random_sample(points)), pixels)


@pytest.mark.parametrize("pixels", [16, 362, 1000])
def test_points_lie_where_the_definition_has_them(pixels: int) -> None:
    for system in systems():
        assert places_of(system, 5000, pixels) == slowly(system, 5000, pixels)


def test_points_that_are_no_numbers_are_left_out_and_a_hundred_before() -> None:
    xs, ys = slow_points(RUNAWAY, np.random.RandomState(9).random_sample(6000))
    first = int(np.argmax(np.isnan(xs) | np.isnan(ys)))
    assert 500 < first < 6000
    # around the first, x may be one where y is not, and the last point may be the first that is none
    for points in range(first - 2, first + 8):
        assert places_of(RUNAWAY, points, 362) == slowly(RUNAWAY, points, 362), points - first
    assert len(places_of(RUNAWAY, 6000, 362)[0]) == len(slowly(RUNAWAY, 6000, 362)[0]) < first - 98


def test_where_rounding_leaves_no_map_the_point_stays() -> None:
    short = np.array([[0.5, 0.0, 0.0, 0.5, 0.3, 0.7, 0.2], [0.5, 0.1, 0.0, 0.5, 0.6, 0.1, 0.3]])
    assert places_of(short, 2000, 100) == slowly(short, 2000, 100)
    chosen = np.empty(2000, dtype=np.uint8)
    choose(chosen, short, BulkRandom.of_numpy(9))
    assert abs((chosen == 2).mean() - 0.5) < 0.06
