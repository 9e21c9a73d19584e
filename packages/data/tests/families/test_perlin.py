from pathlib import Path

import numpy as np
import pytest
from fujimi_data.families.perlin import pnoise1
from hypothesis import example, given
from hypothesis import strategies as st

# noise 1.2.2, the package that the definition names: places, and what its pnoise1 returned there
PUBLISHED = Path(__file__).parent.parent / "data" / "pnoise1.npz"


def test_noise_has_the_bits_that_the_package_noise_returned() -> None:
    with np.load(PUBLISHED) as published:
        places, values = published["places"], published["values"]
    assert np.array_equal([pnoise1(np.float32(x)) for x in places], values)


@given(st.floats(min_value=0.0, max_value=10_000.0))
@example(0.0)
@example(255.5)
@example(256.0)
@example(1023.9999)
@example(9999.9999)
@example(10_000.0)
def test_noise_has_the_bits_of_the_package_noise_anywhere(x: float) -> None:
    noise = pytest.importorskip("noise", reason="needs a C compiler: the environment 'oracle' has it")
    assert pnoise1(np.float32(x)) == noise.pnoise1(x)


@pytest.mark.parametrize("x", [0, 1, 77, 255])
def test_noise_is_zero_at_whole_numbers(x: int) -> None:
    assert pnoise1(np.float32(x)) == 0
