from pathlib import Path

import numpy as np
from fujimi_core.offers import Generator
from fujimi_data.estimate import estimate
from fujimi_data.generation import generate, recipe_of
from numpy.typing import NDArray


def test_bytes_and_inodes_are_those_of_the_dataset(tmp_path: Path, generator: Generator) -> None:
    recipe = recipe_of(generator, classes=10, instances=20, pixels=32, samples_per_shard=30)
    found = estimate(generator, recipe)
    generate(generator, recipe, tmp_path)
    files = list(tmp_path.iterdir())
    assert found.inodes == len(files) == 9
    assert np.isclose(found.nbytes, sum(path.stat().st_size for path in files), rtol=0.05)


def test_time_grows_with_the_samples(generator: Generator) -> None:
    small, large = (
        estimate(generator, recipe_of(generator, classes=10, instances=instances, pixels=64, samples_per_shard=30))
        for instances in (100, 10_000)
    )
    assert 20 < large.core_h / small.core_h < 500


def test_only_some_of_the_first_classes_are_drawn(generator: Generator) -> None:
    asked = []

    def render(*, seed: int, category: int, instance: int, pixels: int) -> NDArray[np.uint8]:
        asked.append((category, instance))
        return generator.render(seed=seed, category=category, instance=instance, pixels=pixels)

    counting = Generator(name="counting", summary="", render=render)
    recipe = recipe_of(counting, classes=21_000, instances=1000, pixels=16)
    asked.clear()
    estimate(counting, recipe)
    assert len(asked) < 200
    assert max(category for category, _ in asked) < 200
    again = asked[-32:]
    assert {category for category, _ in again} == set(range(32))
    assert not set(again) & set(asked[:-32])
