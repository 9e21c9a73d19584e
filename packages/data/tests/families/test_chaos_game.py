from itertools import pairwise

import numpy as np
import pytest
from fujimi_data.families.chaos_game import BLOCK, LARGEST, coefficients, fill_places, frame, place_all, play
from fujimi_data.families.fractaldb_search import with_probabilities
from fujimi_data.families.ifs_orbit import System
from fujimi_data.threefry import words
from numpy.typing import NDArray

KEY = (np.uint32(5), np.uint32(6))
ORBITS = 4
HALF = np.float64(0.5)
# three maps to half the size: towards (0, 0), (1, 0) and (0, 1)
SIERPINSKI = np.array([[HALF, 0, 0, HALF, e, f, 1 / 3] for e, f in ((0, 0), (HALF, 0), (0, HALF))])

Played = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.uint32]]


def played(system: System, points: int, *, with_origin: bool = True, stream: int = 0) -> Played:
    length = -(-points // BLOCK) * BLOCK
    xs, ys, drawn = np.empty(length, np.float32), np.empty(length, np.float32), np.empty(length, np.uint32)
    play(xs, ys, drawn, *coefficients(system), *KEY, np.uint32(stream), with_origin)
    return xs[:points], ys[:points], drawn[:points]


def random_system(seed: int, maps: int) -> System:
    return with_probabilities(np.random.default_rng(seed).uniform(-0.7, 0.7, (maps, 6)))


def mapped(system: System, word: int, x: np.float32, y: np.float32) -> tuple[np.float32, np.float32]:
    """The map that a word chooses, in 32 bits."""
    chosen = np.searchsorted(np.cumsum(system[:-1, 6]), word / 2**32, side="right")
    a, b, c, d, e, f = system[chosen, :6].astype(np.float32)
    return x * a + y * b + e, x * c + y * d + f


@pytest.mark.parametrize(("maps", "with_origin"), [(1, True), (2, True), (5, False), (8, True)])
def test_each_point_is_mapped_to_the_fourth_after_it(maps: int, with_origin: bool) -> None:
    system = random_system(maps, maps)
    xs, ys, drawn = played(system, 2 * BLOCK, with_origin=with_origin)

    expected = [mapped(system, int(w), x, y) for x, y, w in zip(xs, ys, drawn, strict=True)]

    assert np.array_equal(np.array(expected)[:-ORBITS], np.stack((xs, ys), axis=1)[ORBITS:])
    assert ((xs[0], ys[0]) == (0, 0)) == with_origin


def test_orbits_take_512_steps_from_the_origin_before_they_are_seen() -> None:
    system = random_system(1, 3)
    pairs = words(KEY, stream=3, pairs=BLOCK // 2)
    # of a block, the first words of all pairs come before the second ones
    unseen = np.concatenate((pairs[:, 0], pairs[:, 1])).reshape(-1, ORBITS)
    xs, ys, _ = played(system, ORBITS, stream=3)
    for orbit in range(1, ORBITS):
        x = y = np.float32(0)
        for word in unseen[:, orbit].tolist():
            x, y = mapped(system, word, x, y)
        assert (xs[orbit], ys[orbit]) == (x, y)
    assert (xs[0], ys[0]) == (0, 0)


def test_maps_are_chosen_as_often_as_is_probable() -> None:
    # by what they add, points tell which map they come from
    system = np.array([[0, 0, 0, 0, number, 0, p] for number, p in enumerate((0.1, 0.0, 0.5, 0.05, 0.35))])
    xs, _, _ = played(system, 100_000, with_origin=False)
    counts = np.bincount(xs.astype(int), minlength=5)
    deviations = np.sqrt(100_000 * system[:, 6] * (1 - system[:, 6]))
    assert np.all(np.abs(counts - 100_000 * system[:, 6]) <= 5 * deviations)


def test_sierpinskis_triangle_is_pascals_modulo_2() -> None:
    xs, ys, _ = played(SIERPINSKI, 100_000)
    side = 64
    cells = np.zeros((side, side), dtype=bool)
    cells[(ys * side).astype(int), (xs * side).astype(int)] = True

    # binomial(row + column, column) is odd if no bit is set in both
    rows, columns = np.indices((side, side))
    assert np.array_equal(cells, rows & columns == 0)


def spread(cells: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells and their neighbours."""
    padded = np.pad(cells, 1)
    rows, columns = cells.shape
    return np.logical_or.reduce([padded[i : i + rows, j : j + columns] for i in range(3) for j in range(3)])


def test_the_attractor_is_what_its_maps_make_of_it() -> None:
    system = random_system(12, 3)
    xs, ys, _ = played(system, 200_000, with_origin=False)
    low, span = np.array([xs.min(), ys.min()]), np.array([np.ptp(xs), np.ptp(ys)])

    def cells(points: NDArray[np.floating]) -> NDArray[np.bool_]:
        places = np.clip((points - low) / span * 100, 0, 99).astype(int)
        covered = np.zeros((100, 100), dtype=bool)
        covered[tuple(places.T)] = True
        return covered

    points = np.stack((xs, ys), axis=1)
    images = np.concatenate([points @ row[:4].reshape(2, 2).T + row[4:6] for row in system])
    whole, union = cells(points), cells(images)
    # a cell that one of them has only just missed has a neighbour
    assert (whole & ~spread(union)).sum() < 0.03 * whole.sum()
    assert (union & ~spread(whole)).sum() < 0.03 * whole.sum()


def test_the_frame_holds_all_points() -> None:
    random = np.random.default_rng(0)
    xs, ys = random.normal(size=(2, 5000)).astype(np.float32)
    within, low_x, low_y, scale_x, scale_y = frame(xs, ys, 350, np.float32(100))
    assert within
    assert (low_x, low_y) == (xs.min(), ys.min())
    assert scale_x == np.float32(350) / (xs.max() - xs.min())
    assert scale_y == np.float32(350) / (ys.max() - ys.min())


@pytest.mark.parametrize("wrong", [np.nan, -np.nan, np.inf, -np.inf, 101.0, -101.0])
def test_what_is_beyond_the_limit_or_no_number_is_not_within(wrong: float) -> None:
    values, right = np.zeros(1000, dtype=np.float32), np.zeros(1000, dtype=np.float32)
    values[700] = wrong
    assert frame(right, right, 350, np.float32(100))[0]
    assert not frame(values, right, 350, np.float32(100))[0]
    assert not frame(right, values, 350, np.float32(100))[0]


def test_points_in_one_place_have_a_pixel() -> None:
    places, xs = np.empty(10, dtype=np.int32), np.full(10, 3, dtype=np.float32)
    assert place_all(places, xs, xs, 64)
    assert places.tolist() == [6 * 64 + 6] * 10


def test_places_are_cut_off_after_the_point() -> None:
    xs, ys = np.array([-1, -0.51, 0.49, 1.9], dtype=np.float32), np.array([0, 2, 1, 3], dtype=np.float32)
    places = np.empty(4, dtype=np.int32)
    one, two = np.float32(1), np.float32(2)
    fill_places(places, xs, ys, np.float32(-1), np.float32(0), two, one, 3, 100)
    assert places.tolist() == [303, 503, 405, 608]


def test_coordinates_may_be_large() -> None:
    xs = np.linspace(-LARGEST, LARGEST, 101).astype(np.float32)
    places = np.empty(101, dtype=np.int32)
    assert place_all(places, xs, xs, 512)
    columns = places % 512
    assert all(after >= before for before, after in pairwise(columns.tolist()))
    assert (columns[0], columns[-1]) == (6, 506)
