import random

import numpy as np
import pytest
from fujimi_data.families.twister import Twister

# less than a state, a whole one, across two and more, and none
COUNTS = (1, 5, 623, 624, 625, 0, 2000)


@pytest.mark.parametrize("seed", [0, 1, 100, 2**32 - 1])
def test_words_are_those_of_numpy(seed: int) -> None:
    twister, numpys = Twister.of_numpy(seed), np.random.RandomState(seed)
    for count in COUNTS:
        assert np.array_equal(twister.words(count), numpys.randint(0, 2**32, count, dtype=np.uint32))


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**32, (5 << 32) + 3])
def test_words_are_those_of_python(seed: int) -> None:
    twister, pythons = Twister.of_python(seed), random.Random(seed)
    for count in COUNTS:
        assert twister.words(count).tolist() == [pythons.getrandbits(32) for _ in range(count)]


def test_uniform_numbers_are_those_of_numpy_and_python() -> None:
    twister, numpys = Twister.of_numpy(3), np.random.RandomState(3)
    pythons_twister, pythons = Twister.of_python(3), random.Random(3)
    for count in COUNTS:
        assert np.array_equal(twister.uniforms(count), numpys.random_sample(count))
        assert pythons_twister.uniforms(count).tolist() == [pythons.random() for _ in range(count)]


def test_numpys_seeds_have_32_bits() -> None:
    with pytest.raises(ValueError, match="Seed must be between"):
        Twister.of_numpy(2**32)
