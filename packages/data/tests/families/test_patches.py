import numpy as np
import pytest
from fujimi_data.families.patches import MARGIN, grey_patches, grid_width, note, patch_numbers, point_numbers
from numpy.typing import NDArray
from PIL import Image

PIXELS = 37


def random_points(seed: int, count: int) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.uint32]]:
    """Columns, rows and masks; the words of the masks have higher bits too, which do not count."""
    random = np.random.default_rng(seed)
    columns, rows = random.integers(0, PIXELS - 3, (2, count)).astype(np.int32)
    return columns, rows, random.integers(0, 2**32, count, dtype=np.uint32)


def noted(columns: NDArray[np.int32], rows: NDArray[np.int32], masks: NDArray[np.uint32]) -> NDArray[np.uint32]:
    width = grid_width(PIXELS)
    grid = np.zeros((width, width), dtype=np.uint32)
    places = (rows + MARGIN) * width + columns + MARGIN
    # in two parts, as blocks of points are
    half = len(places) // 2
    note(grid, places[:half], masks[:half], 1)
    note(grid, places[half:], masks[half:], half + 1)
    return grid


def patch(mask: int, column: int, row: int) -> NDArray[np.bool_]:
    """Which of the three by three pixels after a point's are lit: each pixel has its bit, wherever the patch lies."""
    return np.array(
        [[mask >> 3 * ((row + 1 + i) % 3) + (column + 1 + j) % 3 & 1 for j in range(3)] for i in range(3)], dtype=bool
    )


@pytest.mark.parametrize("count", [1, 30, 3000])
def test_patches_are_pasted_one_over_the_other(count: int) -> None:
    columns, rows, masks = random_points(count, count)
    image = Image.new("L", (PIXELS, PIXELS))
    for column, row, mask in zip(columns.tolist(), rows.tolist(), masks.tolist(), strict=True):
        pasted = np.where(patch(mask, column, row), 200, 0).astype(np.uint8)
        image.paste(Image.fromarray(pasted), (column + 1, row + 1))

    assert np.array_equal(grey_patches(noted(columns, rows, masks), PIXELS, 200), np.asarray(image))


def test_numbers_are_those_of_the_points_whose_patch_is_seen() -> None:
    columns, rows, masks = random_points(5, 800)
    numbers = np.zeros((PIXELS, PIXELS), dtype=int)
    for number, (column, row, mask) in enumerate(zip(columns.tolist(), rows.tolist(), masks.tolist(), strict=True), 1):
        numbers[row + 1 : row + 4, column + 1 : column + 4] = np.where(patch(mask, column, row), number, 0)

    assert np.array_equal(patch_numbers(noted(columns, rows, masks), PIXELS), numbers)


def test_the_last_of_several_points_on_a_pixel_is_seen() -> None:
    columns, rows, masks = random_points(6, 2000)
    numbers = np.zeros((PIXELS, PIXELS), dtype=int)
    numbers[rows, columns] = np.arange(1, 2001)

    assert np.array_equal(point_numbers(noted(columns, rows, masks), PIXELS), numbers)
