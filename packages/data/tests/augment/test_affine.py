from collections.abc import Callable

import numpy as np
import pytest
from fujimi_data.augment.affine import Matrix, rotation, transform
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

Same = Callable[..., bool]
SIDE = st.integers(1, 90)
FILL = (124, 116, 104)
FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC)
# what RandAugment moves by, and far more; quarters meet pixels exactly
MOVE = st.one_of(st.floats(-40, 40), st.integers(-400, 400).map(lambda quarters: quarters / 4))
SLOPE = st.one_of(st.floats(-0.3, 0.3), st.floats(-3, 3))


def check(same: Same, matrix: Matrix, rows: int, columns: int, channels: int, bicubic: int) -> None:
    random = np.random.default_rng([rows, columns])
    picture = random.choice(np.uint8([0, 3, 100, 252, 255]), (rows, columns, 3))
    picture = picture if channels == 3 else picture[:, :, 0].copy()
    fill = FILL if channels == 3 else FILL[0]
    assert same(
        lambda planes: transform(planes, matrix, FILL, bicubic),
        lambda image: image.transform(
            image.size, Image.Transform.AFFINE, matrix, resample=FILTERS[bicubic], fillcolor=fill
        ),
        picture,
    )


@settings(max_examples=300)
@given(SLOPE, MOVE, SIDE, SIDE, st.sampled_from([1, 3]), st.integers(0, 1), st.booleans())
@example(0.0, 0.0, 20, 30, 1, 1, True)
@example(0.0, 29.75, 20, 30, 1, 1, True)
@example(0.0, -31.0, 20, 30, 1, 0, True)
@example(0.25, 0.0, 33, 30, 3, 1, False)
@example(0.0, 1e-12, 20, 30, 1, 1, True)
def test_shears_and_translations_are_those_of_pillow(
    same_as_pillow: Same, slope: float, move: float, rows: int, columns: int, channels: int, bicubic: int, along_x: bool
) -> None:
    matrix = (1.0, slope, move, 0.0, 1.0, 0.0) if along_x else (1.0, 0.0, 0.0, slope, 1.0, move)
    check(same_as_pillow, matrix, rows, columns, channels, bicubic)


@settings(max_examples=200)
@given(st.floats(-2, 2), SLOPE, MOVE, SLOPE, st.floats(-2, 2), MOVE, SIDE, SIDE, st.integers(0, 1))
@example(-1.0, 0.0, 30.0, 0.0, -1.0, 20.0, 20, 30, 1)
@example(0.5, 0.0, 0.0, 0.0, 0.5, 0.0, 70, 71, 1)
def test_any_map_is_that_of_pillow(
    same_as_pillow: Same,
    a: float,
    b: float,
    c: float,
    d: float,
    e: float,
    f: float,
    rows: int,
    columns: int,
    bicubic: int,
) -> None:
    check(same_as_pillow, (a, b, c, d, e, f), rows, columns, 1, bicubic)


@pytest.mark.parametrize("bicubic", [0, 1])
@pytest.mark.parametrize("degrees", [-30.0, -17.3, 0.0, 0.1, 3.0, 30.0, 45.0, 90.0, 180.0])
def test_rotations_are_those_of_pillow(same_as_pillow: Same, degrees: float, bicubic: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (90, 71, 3), dtype=np.uint8)
    assert same_as_pillow(
        lambda planes: transform(planes, rotation(degrees, rows=90, columns=71), FILL, bicubic),
        lambda image: image.rotate(degrees, resample=FILTERS[bicubic], fillcolor=FILL),
        picture,
    )
