import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fujimi_data.families.exfractaldb import MODELS, model_of, render, system_of, view_of, weights_of
from fujimi_data.families.exfractaldb_reference import WEIGHTS
from fujimi_data.families.ifs3d import draw_cloud
from fujimi_data.families.keys import class_key
from numpy.typing import NDArray

KEYS = [class_key(3, category) for category in range(60)]


def single_orbit(maps: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The authors' way: one orbit of random maps, in numpy, with random numbers of its own."""
    random = np.random.default_rng(0)
    sizes = np.abs(np.linalg.det(maps[:, :9].reshape(-1, 3, 3)))
    choices = random.choice(len(maps), count, p=sizes / sizes.sum())
    matrices, moves = maps[:, :9].reshape(-1, 3, 3), maps[:, 9:]
    points, point = np.empty((count, 3)), np.zeros(3)
    for i, m in enumerate(choices):
        point = matrices[m] @ point + moves[m]
        points[i] = point
    return points


def test_systems_that_are_found_vary_along_each_axis() -> None:
    for key in KEYS[:6]:
        points = single_orbit(system_of(key).maps, 4000)
        scaled = 2 * points / np.ptp(points)
        # another orbit of the system may vary a little less
        assert scaled.var(axis=0).min() > 0.04


def test_parameters_are_from_minus_one_to_one_and_two_maps_are_found_most() -> None:
    systems = [system_of(key) for key in KEYS]
    parameters = np.concatenate([system.maps.reshape(-1) for system in systems])
    assert -1 <= parameters.min() < -0.95
    assert 0.95 < parameters.max() < 1
    counts = np.bincount([len(system.maps) for system in systems], minlength=8)
    # of those that the authors' program finds, 7 in 10 have two maps
    assert counts[:2].sum() == 0
    assert 0.5 < counts[2] / len(KEYS) < 0.9
    assert all(len(system.limits) == len(system.maps) - 1 for system in systems)


def test_maps_are_chosen_by_their_determinants() -> None:
    for key in KEYS[:10]:
        system = system_of(key)
        sizes = np.abs(np.linalg.det(system.maps[:, :9].reshape(-1, 3, 3)))
        assert np.allclose(system.limits / 2**32, np.cumsum(sizes / sizes.sum())[:-1], atol=1e-9)


def test_weights_are_the_authors_but_for_the_one_they_have_twice() -> None:
    ours = {tuple(weights_of(number)) for number in range(MODELS)}
    theirs = {tuple(row) for row in WEIGHTS}
    missing = [1.0] * 8 + [1.6] + [1.0] * 3
    assert len(ours) == 145
    assert ours == theirs | {tuple(missing)}


def test_any_dozen_of_models_perturbs_each_parameter_once() -> None:
    assert (weights_of(0) == 1).all()
    for first in range(1, MODELS, 12):
        changed = [np.flatnonzero(weights_of(number) != 1).tolist() for number in range(first, first + 12)]
        assert changed == [[parameter] for parameter in range(12)]


def test_a_model_is_the_cloud_of_the_system_with_its_weights() -> None:
    key = KEYS[0]
    # the system, and two that contract more
    for number in (0, 25, 33):
        points = single_orbit(system_of(key).maps * weights_of(number), 10_000)
        points = (points - points.mean(axis=0)) * 2 / np.ptp(points)
        ours = model_of(key, number).points
        assert np.allclose(np.cov(ours), np.cov(points.T), atol=0.03)


def test_views_are_spread_evenly_over_the_sphere() -> None:
    views = np.array([view_of(KEYS[0], i, orbit=False, model_views=12) for i in range(4000)])
    # equal heights of a sphere have equal areas (Archimedes)
    for values, low, high in ((views[:, 0], 0, 2 * math.pi), (views[:, 1], -1, 1)):
        shares = (np.sort(values) - low) / (high - low)
        assert np.abs(shares - np.linspace(0, 1, len(shares))).max() < 2.7 / math.sqrt(len(shares))
    assert abs(np.corrcoef(views.T)[0, 1]) < 5 / math.sqrt(len(views))


def test_around_the_axis_views_are_at_equal_angles_but_for_three_degrees() -> None:
    views = [view_of(KEYS[0], i, orbit=True, model_views=12) for i in range(1200)]
    assert {height for _, height in views} == {0.0}
    aside = np.degrees([-heading for heading, _ in views]) - 30 * (np.arange(1200) % 12) - 30
    assert np.abs(aside).max() <= math.pi
    assert aside.min() < -3.1
    assert aside.max() > 3.1
    assert abs(aside.mean()) < 5 * math.pi / math.sqrt(3 * 1200)


def test_models_take_turns_and_views_of_one_model_share_it() -> None:
    pictures = [render(seed=3, category=0, instance=i, pixels=64) for i in range(6)]
    alone = [render(seed=3, category=0, instance=i, pixels=64, models=1, model_views=4) for i in range(6)]
    assert all(np.array_equal(ours, same) for ours, same in zip(pictures, alone, strict=True))
    # after all models comes the first again, from other sides
    again = render(seed=3, category=0, instance=2 * 3, pixels=64, models=2, model_views=3)
    assert np.array_equal(again, alone[0]) is False
    assert np.array_equal(again, render(seed=3, category=0, instance=6, pixels=64, models=1))


def diverges(key: tuple[np.uint32, np.uint32], number: int) -> bool:
    with np.errstate(all="ignore"):
        points = single_orbit(system_of(key).maps * weights_of(number), 10_000)
    return not np.abs(points).max() < 1e6


def diverging() -> tuple[int, int]:
    """A class and the number of a model that diverges, whose successor does not."""
    for category, key in enumerate(KEYS):
        for number in range(1, MODELS - 1):
            suspect = not model_of(key, number).sound and model_of(key, number + 1).sound
            if suspect and diverges(key, number):
                return category, number
    raise AssertionError("no model diverges")


def test_the_next_sound_model_is_shown_instead_of_one_that_diverges() -> None:
    category, number = diverging()
    ask = {"seed": 3, "category": category, "pixels": 64, "model_views": 1}
    heading, height = view_of(KEYS[category], number, orbit=False, model_views=1)
    itself, successor = (
        draw_cloud(model_of(KEYS[category], shown).points, heading, height, 64) for shown in (number, number + 1)
    )
    assert np.array_equal(render(instance=number, **ask), successor)
    assert np.array_equal(render(instance=number, redraw=False, **ask), itself)
    assert not np.array_equal(itself, successor)


def test_models_that_are_shown_as_they_are_do_not_diverge() -> None:
    numbers = range(0, MODELS, 36)
    sound = [(key, number) for key in KEYS[:5] for number in numbers if model_of(key, number).sound]
    assert len(sound) > 20
    assert not any(diverges(key, number) for key, number in sound)


@pytest.mark.parametrize("colour", [False, True])
def test_pictures_do_not_depend_on_threads_or_order(colour: bool) -> None:
    asked = [(category, instance) for category in range(3) for instance in (0, 13, 40)]

    def one(pair: tuple[int, int]) -> bytes:
        return render(seed=5, category=pair[0], instance=pair[1], pixels=64, colour=colour).tobytes()

    in_order = [one(pair) for pair in asked]
    model_of.cache_clear()
    system_of.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, reversed(asked))) == in_order[::-1]


def test_seed_class_and_instance_each_give_another_picture() -> None:
    pictures = {
        render(seed=seed, category=category, instance=instance, pixels=64, views=views).tobytes()
        for views in ("random", "orbit")
        for seed in (0, 1, 2**32, 2**64 - 1)
        for category in (0, 2**32 - 1)
        for instance in (0, 1, 2**32 - 2)
    }
    assert len(pictures) == 2 * 4 * 2 * 3


def test_a_larger_picture_is_the_same_cloud() -> None:
    small, large = (render(seed=0, category=1, instance=2, pixels=pixels) for pixels in (64, 512))
    lit = large.reshape(64, 8, 64, 8).any(axis=(1, 3))
    assert ((small > 0) != lit).mean() < 0.001


def test_shapes_are_those_asked_for() -> None:
    grey = render(seed=0, category=1, instance=0, pixels=16)
    colour = render(seed=0, category=1, instance=0, pixels=16, colour=True)
    assert (grey.shape, colour.shape, grey.dtype, colour.dtype) == ((16, 16), (16, 16, 3), np.uint8, np.uint8)
    assert set(np.unique(grey)) == {0, 255}
    assert len(np.unique(colour.reshape(-1, 3), axis=0)) > 10


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"pixels": 15}, "pixels is 15"),
        ({"mode": "fast"}, "Unknown mode: 'fast'. Known: default, reference"),
        ({"views": "orbits"}, "Unknown views: 'orbits'. Known: orbit, random. Did you mean 'orbit'"),
        ({"models": 0}, "models is 0; it must be from 1 to 145"),
        ({"models": 146}, "models is 146; it must be from 1 to 145"),
        ({"model_views": 0}, "model_views is 0; at least 1 is needed"),
        ({"mode": "reference", "colour": True}, "colour is True; it must be False in reference mode"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(wrong: dict[str, object], message: str) -> None:
    arguments = {"seed": 0, "category": 0, "instance": 0, "pixels": 64, **wrong}
    with pytest.raises(ValueError, match=message):
        render(**arguments)  # type: ignore[arg-type]
