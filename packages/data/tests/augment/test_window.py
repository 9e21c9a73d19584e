import numpy as np
from fujimi_data.augment.window import copy_window
from hypothesis import given
from hypothesis import strategies as st

SIDE, PLACE = st.integers(1, 12), st.integers(-15, 15)


@given(SIDE, SIDE, SIDE, SIDE, PLACE, PLACE, st.booleans(), st.booleans(), st.sampled_from([1, 3]))
def test_windows_are_those_of_a_picture_with_a_border(
    rows: int,
    columns: int,
    new_rows: int,
    new_columns: int,
    top: int,
    left: int,
    mirrored: bool,
    upside_down: bool,
    channels: int,
) -> None:
    picture = np.random.default_rng(rows).integers(0, 256, (rows, columns, channels), dtype=np.uint8)
    out = np.empty((channels, new_rows, new_columns), dtype=np.uint8)

    copy_window(picture.reshape(rows, -1), out, top, left, (mirrored, upside_down), 77)

    whole = np.pad(picture, ((30, 30), (30, 30), (0, 0)), constant_values=77)
    window = whole[30 + top : 30 + top + new_rows, 30 + left : 30 + left + new_columns]
    window = window[:: -1 if upside_down else 1, :: -1 if mirrored else 1]
    assert np.array_equal(out.transpose(1, 2, 0), window)
