"""Sheets of pictures, for people to look at."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fujimi_core.atomic import atomic_file
from fujimi_core.offers import Generator
from numpy.typing import NDArray
from PIL import Image

from fujimi_data.errors import Damage, ShardError
from fujimi_data.generation import draw
from fujimi_data.shards.dataset import ShardDataset
from fujimi_data.shards.manifest import Recipe

# Between pictures, in pixels and grey.
_GAP, _GREY = 2, 96
# Of a sheet: 1 GB in memory.
_MOST_PIXELS = 3 * 10**8


def of_family(generator: Generator, recipe: Recipe) -> NDArray[np.uint8]:
    """Sheet of all pictures of a small dataset that need not exist: a class a row."""
    return _sheet(
        recipe.classes,
        recipe.instances,
        recipe.pixels,
        lambda row, column: draw(generator, recipe, column * recipe.classes + row),
    )


def of_dataset(directory: Path, *, classes: int, instances: int, pixels: int) -> NDArray[np.uint8]:
    """Sheet of a dataset's first pictures of its first classes, made smaller.

    Raises:
        ValueError: If a number is below 1, or the sheet would be too large.
        ShardError: If it is no dataset, or a sample is damaged.
    """
    if min(classes, instances, pixels) < 1:
        raise ValueError(f"classes {classes}, instances {instances}, pixels {pixels}: all are at least 1")
    dataset = ShardDataset(directory)
    numbers = _first_numbers(dataset, classes, instances)

    def picture(row: int, column: int) -> NDArray[np.uint8] | None:
        if row >= len(numbers) or column >= len(numbers[row]):
            return None
        (found,) = dataset.pictures(np.array([numbers[row][column]]))
        if isinstance(found.pixels, Damage):
            raise ShardError(found.pixels)
        return np.asarray(Image.fromarray(found.pixels).resize((pixels, pixels)))

    return _sheet(classes, instances, pixels, picture)


def save(picture: NDArray[np.uint8], path: Path) -> None:
    """Write a sheet as PNG.

    Raises:
        RunError: If it cannot be written.
    """
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "PNG")
    with atomic_file(path) as file:
        file.write(content.getvalue())


def _sheet(
    rows: int, columns: int, pixels: int, picture: Callable[[int, int], NDArray[np.uint8] | None]
) -> NDArray[np.uint8]:
    pitch = pixels + _GAP
    if rows * columns * pitch**2 > _MOST_PIXELS:
        raise ValueError(
            f"a sheet of {rows} x {columns} pictures of {pixels} pixels has more than {_MOST_PIXELS:,}: "
            "take fewer, or make them smaller"
        )
    sheet = np.full((rows * pitch + _GAP, columns * pitch + _GAP, 3), _GREY, dtype=np.uint8)
    for row in range(rows):
        for column in range(columns):
            drawn = picture(row, column)
            if drawn is not None:
                top, left = row * pitch + _GAP, column * pitch + _GAP
                sheet[top : top + pixels, left : left + pixels] = drawn if drawn.ndim == 3 else drawn[:, :, None]
    return sheet


def _first_numbers(dataset: ShardDataset, classes: int, instances: int) -> list[list[int]]:
    """Numbers of the first samples of the first classes."""
    recipe = dataset.manifest.recipe
    if recipe is not None:
        return [
            [instance * recipe.classes + category for instance in range(min(instances, recipe.instances))]
            for category in range(min(classes, recipe.classes))
        ]
    labels = dataset.labels()
    return [np.flatnonzero(labels == label)[:instances].tolist() for label in range(classes)]
