import noise
import numpy as np
import pytest
from fujimi_data.perlin import pnoise1
from hypothesis import example, given, settings
from hypothesis import strategies as st


@settings(deadline=None)
@given(st.floats(min_value=0.0, max_value=10_000.0))
@example(0.0)
@example(255.5)
@example(256.0)
@example(1023.9999)
@example(9999.9999)
@example(10_000.0)
def test_noise_has_the_bits_of_the_package_noise(x: float) -> None:
    assert pnoise1(np.float32(x)) == noise.pnoise1(x)


def test_noise_has_the_bits_of_the_package_noise_in_every_cell() -> None:
    places = np.random.default_rng(0).uniform(0, 10_000, 20_000)
    assert [float(pnoise1(np.float32(x))) for x in places] == [noise.pnoise1(x) for x in places]


@pytest.mark.parametrize("x", [0, 1, 77, 255])
def test_noise_is_zero_at_whole_numbers(x: int) -> None:
    assert pnoise1(np.float32(x)) == 0
