import random

import numpy as np
import pytest
from fujimi_data.families.bulk_random import BulkRandom, drawn_from
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(0, 2**160), st.integers(1, 2**32 - 1), st.integers(0, 1300))
def test_whole_numbers_are_those_of_randint(seed: int, values: int, before: int) -> None:
    source = random.Random(seed)
    for _ in range(before):
        source.getrandbits(32)
    numbers = BulkRandom.of_python(source)
    assert [numbers.integer(-3, values - 4) for _ in range(5)] == [source.randint(-3, values - 4) for _ in range(5)]


def test_real_numbers_are_those_of_uniform() -> None:
    source = random.Random(5)
    numbers = BulkRandom.of_python(source)
    assert numbers.real(0, 0.1) == source.uniform(0, 0.1)
    assert numbers.real(1, 2) == source.uniform(1, 2)
    assert numbers.reals(1000, high=10_000.0).tolist() == [source.uniform(0, 10_000) for _ in range(1000)]
    assert numbers.real(-np.pi, np.pi) == source.uniform(-np.pi, np.pi)


def test_exponential_numbers_are_those_of_expovariate() -> None:
    source = random.Random(6)
    numbers = BulkRandom.of_python(source)
    assert [numbers.exponential(0.01) for _ in range(50)] == [source.expovariate(0.01) for _ in range(50)]


def test_the_source_moves_on_as_if_it_had_drawn_the_numbers_itself() -> None:
    source, same = random.Random(7), random.Random(7)
    assert source.gauss(0, 1) == same.gauss(0, 1)  # leaves a second number for the next call
    with drawn_from(source) as numbers:
        numbers.integer(0, 255)
        numbers.reals(700, high=1.0)
    same.randint(0, 255)
    for _ in range(700):
        same.random()
    assert source.getstate() == same.getstate()


# less than a state, a whole one, across two and more, and none
COUNTS = (1, 5, 623, 624, 625, 0, 2000)


@pytest.mark.parametrize("seed", [0, 1, 100, 2**32 - 1])
def test_words_are_those_of_numpy(seed: int) -> None:
    numbers, numpys = BulkRandom.of_numpy(seed), np.random.RandomState(seed)
    for count in COUNTS:
        assert np.array_equal(numbers.words(count), numpys.randint(0, 2**32, count, dtype=np.uint32))


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**32, (5 << 32) + 3])
def test_words_are_those_of_python(seed: int) -> None:
    numbers, pythons = BulkRandom.of_python(seed), random.Random(seed)
    for count in COUNTS:
        assert numbers.words(count).tolist() == [pythons.getrandbits(32) for _ in range(count)]


def test_uniform_numbers_are_those_of_numpy_and_python() -> None:
    numbers, numpys = BulkRandom.of_numpy(3), np.random.RandomState(3)
    pythons_numbers, pythons = BulkRandom.of_python(3), random.Random(3)
    for count in COUNTS:
        assert np.array_equal(numbers.uniforms(count), numpys.random_sample(count))
        assert pythons_numbers.uniforms(count).tolist() == [pythons.random() for _ in range(count)]


def test_numpys_seeds_have_32_bits() -> None:
    with pytest.raises(ValueError, match="Seed must be between"):
        BulkRandom.of_numpy(2**32)
