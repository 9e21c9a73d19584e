import numpy as np
import pytest
from fujimi_data.augment.pictures import lines_and_planes


def test_colours_stay_interleaved_in_and_planar_out() -> None:
    picture = np.arange(2 * 5 * 3, dtype=np.uint8).reshape(2, 5, 3)
    out = np.zeros((3, 4, 4), dtype=np.uint8)
    lines, planes = lines_and_planes(picture, out)
    assert np.array_equal(lines, [range(15), range(15, 30)])
    planes[2, 0, 1] = 7
    assert out[2, 0, 1] == 7


def test_a_grey_picture_has_one_plane_that_is_the_row_itself() -> None:
    out = np.zeros((4, 4), dtype=np.uint8)
    lines, planes = lines_and_planes(np.ones((2, 5), dtype=np.uint8), out)
    planes[0, 3, 2] = 7
    assert (lines.shape, planes.shape, out[3, 2]) == ((2, 5), (1, 4, 4), 7)


@pytest.mark.parametrize(
    ("picture", "out"),
    [
        ((5, 5), (3, 4, 4)),
        ((5, 5, 3), (4, 4)),
        ((5, 5, 4), (4, 4, 4)),
        ((5, 5, 3), (4, 4, 3)),
        ((0, 5), (4, 4)),
        ((5,), (4,)),
    ],
)
def test_shapes_that_do_not_belong_together_are_refused(picture: tuple[int, ...], out: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="is written to"):
        lines_and_planes(np.zeros(picture, dtype=np.uint8), np.zeros(out, dtype=np.uint8))


def test_other_types_and_rows_in_pieces_are_refused() -> None:
    bytes_ = np.zeros((4, 4), dtype=np.uint8)
    for picture, out in ((bytes_.astype(np.float32), bytes_), (bytes_, bytes_.astype(np.int8)), (bytes_, bytes_.T[:2])):
        with pytest.raises(ValueError, match="uint8"):
            lines_and_planes(picture, out)
