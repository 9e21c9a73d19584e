import numpy as np
import pytest
from fujimi_core.offers import Generator
from fujimi_data.generated import GeneratedDataset
from fujimi_data.generation import recipe_of
from fujimi_data.loader import BatchLoader
from fujimi_data.shards.dataset import ShardDataset

from .conftest import SIZES


def test_pictures_are_those_that_shards_would_have(generator: Generator, directory: object) -> None:
    drawn = GeneratedDataset(generator, recipe_of(generator, **SIZES))
    read = ShardDataset(str(directory))
    sharing = {"seed": 1, "global_batch": 8}
    with BatchLoader(drawn, **sharing) as one, BatchLoader(read, **sharing) as other:
        for _ in range(4):
            (pictures, labels), (expected, classes) = next(one), next(other)
            assert np.array_equal(pictures, expected)
            assert np.array_equal(labels, classes)


@pytest.mark.parametrize("number", [-1, 12])
def test_numbers_outside_are_refused(generator: Generator, number: int) -> None:
    drawn = GeneratedDataset(generator, recipe_of(generator, **SIZES))
    with pytest.raises(IndexError, match=f"sample {number} of 12"):
        list(drawn.pictures(np.array([number])))
