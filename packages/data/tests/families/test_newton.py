import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fujimi_data.families.keys import class_key
from fujimi_data.families.newton import basins, polynomial_of, render, view_of

CLASSES = [polynomial_of(class_key(1, category)) for category in range(1500)]
VIEWS = [view_of(class_key(1, 0), instance, iterations=48, colour=False)[0] for instance in range(2000)]


def test_degrees_are_drawn_evenly_or_as_asked_for() -> None:
    counts = np.bincount([len(polynomial.roots) for polynomial in CLASSES], minlength=9)
    expected = len(CLASSES) / 6
    assert counts[:3].sum() == 0
    assert np.abs(counts[3:] - expected).max() < 5 * math.sqrt(expected)
    assert {len(polynomial_of(class_key(1, category), 5).roots) for category in range(50)} == {5}


def test_roots_lie_in_the_unit_disc_apart_from_each_other() -> None:
    for polynomial in CLASSES:
        roots = np.array(polynomial.roots)
        apart = np.abs(roots[:, None] - roots) + np.eye(len(roots))
        assert np.abs(roots).max() < 1
        assert apart.min() >= 0.3


def test_the_first_root_is_uniform_over_the_disc_and_relaxations_over_their_range() -> None:
    first = np.array([polynomial.roots[0] for polynomial in CLASSES])
    shares = [np.abs(first) ** 2, np.angle(first) / (2 * math.pi) + 0.5]
    shares.append(np.array([polynomial.relaxation for polynomial in CLASSES]) - 0.5)
    for share in shares:
        assert np.abs(np.sort(share) - np.linspace(0, 1, len(share))).max() < 2.7 / math.sqrt(len(share))


def test_views_are_turned_stretched_and_moved_within_their_ranges() -> None:
    middles = np.array([view.middle for view in VIEWS])
    matrices = np.array([[[v.across.real, v.down.real], [v.across.imag, v.down.imag]] for v in VIEWS])
    stretches = np.linalg.svd(matrices, compute_uv=False)
    halves = np.sqrt(stretches.prod(axis=1))
    assert np.abs(middles).max() < 0.5
    assert np.abs(middles).max() > 0.49
    assert (0.8 <= halves.min() < 0.82, 1.95 < halves.max() <= 2.0) == (True, True)
    ratios = stretches[:, 0] / stretches[:, 1]
    assert 1.18 < ratios.max() <= 1.2 + 1e-9
    assert (np.linalg.det(matrices) > 0).all()
    angles = np.angle([view.across for view in VIEWS]) / (2 * math.pi) + 0.5
    assert np.abs(np.sort(angles) - np.linspace(0, 1, len(angles))).max() < 2.7 / math.sqrt(len(angles))


@pytest.mark.parametrize("colour", [False, True])
def test_a_picture_shows_root_and_steps(colour: bool) -> None:
    key = class_key(3, 4)
    polynomial = polynomial_of(key, 6)
    view, levels = view_of(key, 5, iterations=20, colour=colour)
    roots, steps = basins(polynomial, view, pixels=96, iterations=20)
    picture = render(seed=3, category=4, instance=5, pixels=96, degree=6, iterations=20, colour=colour)
    shape = (96, 96, 3) if colour else (96, 96)
    assert np.array_equal(picture, levels[roots, steps].reshape(shape))


def test_each_root_has_a_grey_of_its_own_and_darkens_with_steps() -> None:
    for instance in range(20):
        levels = view_of(class_key(1, 0), instance, iterations=48, colour=False)[1][:, :, 0].astype(int)
        assert sorted(levels[:8, 0]) == [80, 105, 130, 155, 180, 205, 230, 255]
        assert (np.diff(levels[:8], axis=1) <= 0).all()
        assert (levels[:8, 48] < 0.4 * levels[:8, 0]).all()
        assert not levels[8].any()


def test_greys_of_roots_are_shuffled_and_colours_are_bright() -> None:
    key = class_key(1, 0)
    orders = {tuple(view_of(key, i, iterations=1, colour=False)[1][:8, 0, 0]) for i in range(50)}
    assert len(orders) > 45
    colours = np.array([view_of(key, i, iterations=1, colour=True)[1][:8, 0] for i in range(50)])
    assert (colours.max(axis=2) == 255).all()
    assert len(np.unique(colours.reshape(-1, 3), axis=0)) > 390


def test_a_larger_picture_is_the_same_picture() -> None:
    small, large = (render(seed=0, category=2, instance=1, pixels=pixels) for pixels in (64, 192))
    assert (large[1::3, 1::3] == small).mean() > 0.99


def test_pictures_do_not_depend_on_threads_or_order() -> None:
    asked = [(category, instance) for category in range(4) for instance in range(2)]

    def one(pair: tuple[int, int]) -> bytes:
        return render(seed=5, category=pair[0], instance=pair[1], pixels=64).tobytes()

    in_order = [one(pair) for pair in asked]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, reversed(asked))) == in_order[::-1]


def test_seed_class_and_instance_each_give_another_picture() -> None:
    pictures = {
        render(seed=seed, category=category, instance=instance, pixels=64).tobytes()
        for seed in (0, 1, 2**32, 2**64 - 1)
        for category in (0, 2**32 - 1)
        for instance in (0, 1, 2**32 - 2)
    }
    assert len(pictures) == 24


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pixels": 15}, "pixels is 15"),
        ({"degree": 2}, "degree is 2; it must be 0 or from 3 to 8"),
        ({"degree": 9}, "degree is 9; it must be 0 or from 3 to 8"),
        ({"iterations": 0}, "iterations is 0; it must be from 1 to 255"),
        ({"iterations": 256}, "iterations is 256; it must be from 1 to 255"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(wrong: dict[str, int], message: str) -> None:
    arguments = {"seed": 0, "category": 0, "instance": 0, "pixels": 64, **wrong}
    with pytest.raises(ValueError, match=message):
        render(**arguments)
