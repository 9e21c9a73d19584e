from colorsys import hsv_to_rgb

import numpy as np
import pytest
from fujimi_data.families.density import MARGIN, PIXEL, count_points, hue_levels, levels_of, shown, stamped

PIXELS = 12


def counted(points: list[tuple[int, int]]) -> np.ndarray:
    width = PIXELS + 2 * MARGIN
    counts = np.zeros(width * width, dtype=np.uint32)
    places = [(row + MARGIN) * width + column + MARGIN for row, column in points]
    count_points(counts, np.array(places, dtype=np.int32))
    return counts.reshape(width, width)


def random_points() -> list[tuple[int, int]]:
    return [tuple(point) for point in np.random.default_rng(1).integers(0, PIXELS, (90, 2)).tolist()]


@pytest.mark.parametrize("stamp", [PIXEL, 1, 1 << 8, 0b101010011, 511, 0])
def test_a_stamp_covers_its_pixels_around_each_point(stamp: int) -> None:
    expected = np.zeros((PIXELS, PIXELS), dtype=int)
    for row, column in random_points():
        for bit in range(9):
            place = (row + bit // 3 - 1, column + bit % 3 - 1)
            if stamp >> bit & 1 and min(place) >= 0 and max(place) < PIXELS:
                expected[place] += 1
    assert np.array_equal(stamped(counted(random_points()), stamp), expected)


def levels(greatest: int, look: str, *, colour: bool = False) -> np.ndarray:
    return levels_of(greatest, look=look, colour=colour, hue=10.0, saturation=200, value=180)


def test_a_binary_picture_shows_where_any_points_are() -> None:
    covered = stamped(counted(random_points()), PIXEL)
    picture = shown(covered, levels(int(covered.max()), "binary"))
    assert np.array_equal(picture, np.where(covered > 0, 127, 0))


def test_greys_are_in_proportion_to_counts() -> None:
    assert levels(4, "density").tolist() == [0, 63, 127, 191, 255]
    assert levels(0, "density").tolist() == [0]


def test_hues_go_round_in_proportion_to_counts_and_nothing_is_black() -> None:
    shares = np.arange(7) / 6
    colours = hue_levels(shares, hue=100.0, saturation=128, value=200)
    expected = [
        [255 * level for level in hsv_to_rgb(int(share * 255 + 100) % 256 / 180 % 1, 128 / 255, 200 / 255)]
        for share in shares
    ]
    assert colours[0].tolist() == [0, 0, 0]
    # cut off after the point
    assert np.abs(colours[1:] + 0.5 - expected[1:]).max() < 0.51


def test_colours_are_shown_in_three_channels() -> None:
    covered = stamped(counted(random_points()), 0b11)
    colours = levels(int(covered.max()), "density", colour=True)
    picture = shown(covered, colours)
    assert picture.shape == (PIXELS, PIXELS, 3)
    assert np.array_equal(picture, colours[covered])
    assert len(np.unique(levels(5, "binary", colour=True), axis=0)) == 2
