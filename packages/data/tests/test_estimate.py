from pathlib import Path

import numpy as np
from fujimi_core.offers import Generator
from fujimi_data.estimate import estimate
from fujimi_data.generation import generate, recipe_of


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
