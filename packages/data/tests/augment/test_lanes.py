import numpy as np
import pytest
from fujimi_data.augment.lanes import LANES, to_lanes, to_rows

SHAPES = [(1, 1), (7, 5), (8, 33), (9, 64), (50, 3), (64, 100)]


@pytest.mark.parametrize(("height", "width"), SHAPES)
def test_rows_become_lanes_and_rows_again(height: int, width: int) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    lanes = np.zeros((width, -(-height // LANES) * LANES), dtype=np.uint8)
    back = np.zeros_like(rows)

    to_lanes(rows, lanes)
    to_rows(lanes, back)

    assert np.array_equal(lanes[:, :height], rows.T)
    assert np.array_equal(back, rows)
