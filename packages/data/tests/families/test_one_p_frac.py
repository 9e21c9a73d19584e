import random
from itertools import count
from typing import Any

import numpy as np
import pytest
from fujimi_data.families.ifs_orbit import System
from fujimi_data.families.one_p_frac import Recipe, base_system, lit_attempt, reference_base, render
from PIL import Image


def recipe(**changed: Any) -> Recipe:
    return Recipe(**{"seed": 0, "points": 20_000, "maps": 2, "sigma": 3.5, "delta": 0.1, "fill_rate": 0.05, **changed})


def slow_picture(base: System, source: random.Random, *, recipe: Recipe, pixels: int) -> tuple[int, Image.Image]:
    """The definition with Pillow: new factors and patches until enough is lit; how often, and the picture."""
    bounds = np.cumsum(base[:, 6]).tolist()
    for attempt in count():
        maps = [
            [value * source.uniform(1 - recipe.delta, 1 + recipe.delta) for value in row[:6]] for row in base.tolist()
        ]
        x = y = 0.0
        points = [(x, y)]
        for uniform in np.random.RandomState(100).random_sample(recipe.points)[:-1].tolist():
            a, b, c, d, e, f = next(row for row, bound in zip(maps, bounds, strict=True) if uniform <= bound)
            x, y = x * a + y * b + e, x * c + y * d + f
            points.append((x, y))
        low, span = np.min(points, axis=0), np.ptp(points, axis=0)
        image = Image.new("L", (pixels, pixels))
        for column, row in ((np.array(points) - low) / span * (pixels - 12) + 6).astype(int).tolist():
            mask = f"{source.randrange(1, 512):09b}"
            patch = np.array([127 * int(bit) for bit in mask], dtype=np.uint8).reshape(3, 3)
            image.paste(Image.fromarray(patch), (column + 1, row + 1))
        if (np.asarray(image) > 1).mean() > recipe.fill_rate:
            return attempt, image.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    raise AssertionError("has no end")


@pytest.mark.parametrize(
    ("category", "instance", "pixels", "changed"),
    [
        (0, 0, 100, {}),
        (3, 2, 64, {"seed": 4, "sigma": 4.0, "maps": 3}),
        # so much that the first pictures are not lit enough
        (1, 0, 64, {"delta": 0.5, "fill_rate": 0.17}),
    ],
)
def test_reference_pictures_are_those_of_the_definition(
    category: int, instance: int, pixels: int, changed: dict[str, Any]
) -> None:
    wanted = recipe(points=2000, **changed)
    source = random.Random((instance << 32) + category)
    attempts, expected = slow_picture(reference_base(wanted), source, recipe=wanted, pixels=pixels)
    picture = render(
        category=category,
        instance=instance,
        pixels=pixels,
        mode="reference",
        seed=wanted.seed,
        points=wanted.points,
        maps=wanted.maps,
        sigma=wanted.sigma,
        delta=wanted.delta,
        fill_rate=wanted.fill_rate,
    )
    assert np.array_equal(picture, np.asarray(expected))
    assert (attempts > 0) == (wanted.fill_rate > 0.1)


def test_the_base_contracts_with_the_sum_of_singular_values_that_was_asked_for() -> None:
    for seed in range(5):
        for base in (reference_base(recipe(seed=seed)), base_system(recipe(seed=seed))):
            values = np.linalg.svd(base[:, :4].reshape(-1, 2, 2), compute_uv=False)
            assert values.max() <= 1 + 1e-12
            assert abs((values @ [1, 2]).sum() - 3.5) <= 0.1
            areas = np.abs(np.linalg.det(base[:, :4].reshape(-1, 2, 2)))
            assert np.allclose(base[:, 6], areas / areas.sum())


def share(**asked: Any) -> float:
    return float((render(**asked) > 0).mean())


def test_pictures_of_512_are_lit_enough_and_others_of_the_same_attempt() -> None:
    wanted = recipe(fill_rate=0.12, delta=0.3, points=20_000)
    attempts = {category: lit_attempt(wanted, category) for category in range(12)}
    assert max(attempts.values()) > 0
    for category in attempts:
        asked = {"seed": 0, "category": category, "fill_rate": 0.12, "delta": 0.3, "points": 20_000}
        assert share(**asked, instance=0, pixels=512) > 0.12
        assert share(**asked, instance=1, pixels=512) > 0.1


def likeness(**asked: Any) -> float:
    """How much a picture of seed 3, coarsely seen, is like that of its base."""
    coarse = []
    for options in ({"delta": 0.0}, asked):
        picture = render(**{"seed": 3, "category": 0, "instance": 0, "pixels": 128, **options}) > 0
        coarse.append(picture.reshape(16, 8, 16, 8).mean(axis=(1, 3)).ravel())
    return float(np.corrcoef(*coarse)[0, 1])


def test_classes_are_variations_of_one_fractal() -> None:
    other_points = min(likeness(delta=0.0, instance=instance) for instance in range(1, 4))
    little = min(likeness(delta=0.01, category=category) for category in range(4))
    much = [likeness(delta=0.1, category=category) for category in range(4)]
    others = max(likeness(seed=seed) for seed in range(4, 8))
    assert min(other_points, little) > 0.9
    assert max(much) < other_points
    assert min(much) > others


def test_pictures_depend_on_seed_class_and_instance_alone() -> None:
    asked = [(seed, category, instance) for seed in (0, 2**64 - 1) for category in (0, 9) for instance in (0, 7)]

    def one(seed: int, category: int, instance: int) -> bytes:
        return render(seed=seed, category=category, instance=instance, pixels=64, points=5000, fill_rate=0.01).tobytes()

    in_order = [one(*each) for each in asked]
    assert [one(*each) for each in reversed(asked)] == in_order[::-1]
    assert len(set(in_order)) == len(asked)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"mode": "x"}, "Unknown mode: 'x'. Known: default, reference"),
        ({"maps": 1}, "maps is 1; it must be from 2 to 8"),
        ({"maps": 9}, "maps is 9; it must be from 2 to 8"),
        ({"sigma": 0.1}, "sigma is 0.1; of 2 maps it must be between 0.1 and 5.9"),
        ({"sigma": 5.95}, "sigma is 5.95"),
        ({"delta": 1.1}, "delta is 1.1; it must be from 0 to 1"),
        ({"fill_rate": 0.6}, "fill_rate is 0.6; it must be from 0 to 0.5"),
        ({"points": 0}, "points is 0"),
        ({"category": -1}, "category is -1"),
    ],
)
def test_bad_options_are_refused_by_name(option: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        render(**{"seed": 0, "category": 0, "instance": 0, "pixels": 64, **option})


@pytest.mark.parametrize("mode", ["default", "reference"])
def test_the_search_for_a_lit_picture_ends(mode: str) -> None:
    with pytest.raises(ValueError, match="none of 1000 pictures is lit enough"):
        render(seed=0, category=0, instance=0, pixels=16, mode=mode, points=100, fill_rate=0.5)
