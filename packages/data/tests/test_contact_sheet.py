from pathlib import Path

import numpy as np
import pytest
from fujimi_core.errors import RunError
from fujimi_core.offers import Generator
from fujimi_data import contact_sheet
from fujimi_data.errors import ShardError
from fujimi_data.generation import recipe_of
from fujimi_data.packing import pack
from numpy.typing import NDArray
from PIL import Image

from .conftest import SIZES, flip


def cell(sheet: NDArray[np.uint8], row: int, column: int) -> NDArray[np.uint8]:
    return sheet[2 + 18 * row :, 2 + 18 * column :][:16, :16]


def test_a_row_has_the_pictures_of_a_class(generator: Generator, directory: Path) -> None:
    of_family = contact_sheet.of_family(generator, recipe_of(generator, **SIZES))
    of_dataset = contact_sheet.of_dataset(directory, classes=4, instances=3, pixels=16)
    assert np.array_equal(of_family, of_dataset)
    assert of_family.shape == (2 + 4 * 18, 2 + 3 * 18, 3)
    for row in range(4):
        for column in range(3):
            drawn = generator.render(seed=7, category=row, instance=column, pixels=16)
            assert np.array_equal(cell(of_family, row, column), np.stack([drawn] * 3, axis=2))


def test_places_without_a_picture_stay_grey(directory: Path) -> None:
    sheet = contact_sheet.of_dataset(directory, classes=5, instances=5, pixels=16)
    assert np.all(cell(sheet, 4, 0) == 96)
    assert np.all(cell(sheet, 0, 3) == 96)


def test_packed_pictures_are_shown_by_their_labels(tmp_path: Path) -> None:
    for number in range(8):
        folder = tmp_path / "folder" / ("ant", "bee")[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (16, 16), ((0, 200, 0), (0, 0, 200))[number % 2]).save(folder / f"{number}.png")
    pack(tmp_path / "folder", tmp_path / "out")
    sheet = contact_sheet.of_dataset(tmp_path / "out", classes=2, instances=4, pixels=16)
    for column in range(4):
        assert np.all(cell(sheet, 0, column) == (0, 200, 0))
        assert np.all(cell(sheet, 1, column) == (0, 0, 200))


@pytest.mark.parametrize("name", ["classes", "instances", "pixels"])
def test_sheets_of_nothing_are_refused(directory: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} 0"):
        contact_sheet.of_dataset(directory, **{"classes": 2, "instances": 2, "pixels": 16, name: 0})


def test_damage_is_named(directory: Path) -> None:
    flip(directory / "shard-00000.tar", 600)
    with pytest.raises(ShardError, match="sample 00000_00000"):
        contact_sheet.of_dataset(directory, classes=2, instances=2, pixels=16)


def test_a_sheet_is_a_png_file(tmp_path: Path) -> None:
    sheet = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    contact_sheet.save(sheet, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert np.array_equal(np.asarray(image), sheet)
    with pytest.raises(RunError, match="cannot write"):
        contact_sheet.save(sheet, tmp_path / "no" / "a.png")


def test_all_of_a_packed_dataset_is_searched_for_its_first_classes(tmp_path: Path) -> None:
    for label in range(60):
        folder = tmp_path / "folder" / f"{label:02d}"
        folder.mkdir(parents=True)
        for number in range(5):
            Image.new("L", (16, 16), 100 + label).save(folder / f"{number}.png")
    pack(tmp_path / "folder", tmp_path / "out")
    sheet = contact_sheet.of_dataset(tmp_path / "out", classes=2, instances=1, pixels=16)
    assert [int(cell(sheet, row, 0)[0, 0, 0]) for row in range(2)] == [100, 101]


def test_a_sheet_that_is_too_large_is_refused(directory: Path) -> None:
    with pytest.raises(ValueError, match="a sheet of 2 x 2 pictures of 100000 pixels has more than 300,000,000"):
        contact_sheet.of_dataset(directory, classes=2, instances=2, pixels=100_000)
