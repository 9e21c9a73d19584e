import numpy as np
import pytest
from fujimi_data.families.chaos_game import BLOCK, coefficients, play
from fujimi_data.families.fractaldb_search import with_probabilities
from fujimi_data.families.ifs_picture import check_drawing, flipped, picture_of, played_grid
from fujimi_data.families.patches import MARGIN
from numpy.typing import NDArray

KEY = (np.uint32(1), np.uint32(2))
SYSTEM = with_probabilities(np.random.default_rng(3).uniform(-0.7, 0.7, (4, 6)))


def grid_of(points: int, pixels: int) -> NDArray[np.uint32]:
    grid = played_grid(SYSTEM, key=KEY, stream=7, points=points, pixels=pixels)
    assert grid is not None
    return grid.copy()


@pytest.mark.parametrize(("points", "pixels"), [(1, 16), (3000, 40), (BLOCK, 16), (3 * BLOCK + 1, 300)])
def test_each_cell_has_number_and_mask_of_its_last_point(points: int, pixels: int) -> None:
    length = -(-points // BLOCK) * BLOCK
    xs, ys, words = np.empty(length, np.float32), np.empty(length, np.float32), np.empty(length, np.uint32)
    play(xs, ys, words, *coefficients(SYSTEM), *KEY, np.uint32(7), True)
    expected = np.zeros((pixels + MARGIN, pixels + MARGIN), dtype=np.uint32)
    columns, rows = (
        (values - values.min()) * (np.float32(pixels - 12) / max(np.ptp(values), np.float32(1e-9))) + np.float32(9)
        for values in (xs[:points], ys[:points])
    )
    masks = np.where(words[:points] & 511, words[:points] & 511, words[:points] >> 9 & 511)
    expected[rows.astype(int), columns.astype(int)] = np.arange(1, points + 1) * 512 + np.maximum(masks, 1)

    assert np.array_equal(grid_of(points, pixels), expected)


def test_no_patch_is_empty_and_each_other_is_as_likely() -> None:
    # a picture so large that hardly a point hides another
    grid = grid_of(400_000, 4000)
    masks = grid[grid > 0] & 511
    counts = np.bincount(masks, minlength=512)
    assert counts[0] == 0
    assert np.abs(counts[1:] - len(masks) / 511).max() < 5 * np.sqrt(len(masks) / 511)


def test_points_beyond_the_limit_make_no_picture() -> None:
    far = SYSTEM.copy()
    far[:, 4:6] *= 100
    assert played_grid(far, key=KEY, stream=0, points=5000, pixels=32) is not None
    assert played_grid(far, key=KEY, stream=0, points=5000, pixels=32, limit=10.0) is None


def test_points_and_patches_lie_around_each_other() -> None:
    grid = grid_of(300, 64)
    points, patches = (picture_of(grid, draw=draw, colour=False) > 0 for draw in ("point", "patch"))
    near = np.zeros_like(points)
    for rows in range(1, 4):
        for columns in range(1, 4):
            near[rows:, columns:] |= points[:-rows, :-columns]
    assert not (patches & ~near).any()
    assert 0.3 < patches.sum() / near.sum() < 0.7


def test_pictures_are_turned_upright_and_flipped() -> None:
    picture = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert flipped(picture, 0).tolist() == [[3, 4, 5], [0, 1, 2]]
    assert flipped(picture, 1).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert flipped(picture, 2).tolist() == [[5, 4, 3], [2, 1, 0]]
    assert flipped(picture, 3).tolist() == [[2, 1, 0], [5, 4, 3]]


def test_ways_to_draw_are_checked() -> None:
    check_drawing(draw="patch", points=1)
    with pytest.raises(ValueError, match="Unknown way to draw: 'Patch'"):
        check_drawing(draw="Patch", points=1)
