import numpy as np
import PIL
import pytest
from fujimi_data.augment.resample import resize
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

Box = tuple[float, float, float, float]
SIDE = st.integers(1, 70)
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
PILLOW_CHOOSES_THE_ORDER = int(PIL.__version__.split(".")[0]) >= 13


def random_picture(rows: int, columns: int, channels: int) -> NDArray[np.uint8]:
    # few values next to each other, so that sums reach beyond 0 and 255
    picture = np.random.default_rng([rows, columns]).choice(
        np.array([0, 1, 90, 254, 255], dtype=np.uint8), (rows, columns, 3)
    )
    return picture if channels == 3 else picture[:, :, 0].copy()


def ours(picture: NDArray[np.uint8], rows: int, columns: int, box: Box | None, resampling: str) -> NDArray[np.uint8]:
    out = np.empty((rows, columns) if picture.ndim == 2 else (3, rows, columns), dtype=np.uint8)
    resize(picture, out, box=box, resampling=resampling)
    return out if picture.ndim == 2 else out.transpose(1, 2, 0)


def pillows(picture: NDArray[np.uint8], rows: int, columns: int, box: Box | None, resampling: str) -> NDArray[np.uint8]:
    image = Image.fromarray(picture)
    how, (left, top, right, bottom) = FILTERS[resampling], box or (0, 0, *image.size)
    if PILLOW_CHOOSES_THE_ORDER:
        return np.asarray(image.resize((columns, rows), how, box=(left, top, right, bottom)))
    if image.height - rows > max(0, 2 * (image.width - columns)):
        image = image.resize((image.width, rows), how, box=(0, top, image.width, bottom))
        return np.asarray(image.resize((columns, rows), how, box=(left, 0, right, rows)))
    image = image.resize((columns, image.height), how, box=(left, 0, right, image.height))
    return np.asarray(image.resize((columns, rows), how, box=(0, top, columns, bottom)))


@settings(max_examples=400)
@given(SIDE, SIDE, SIDE, SIDE, st.sampled_from([1, 3]), st.sampled_from(["bilinear", "bicubic"]))
@example(60, 20, 7, 40, 1, "bilinear")
@example(1, 1, 64, 64, 3, "bicubic")
@example(70, 70, 1, 1, 1, "bicubic")
def test_pictures_are_those_of_pillow(
    rows: int, columns: int, new_rows: int, new_columns: int, channels: int, resampling: str
) -> None:
    picture = random_picture(rows, columns, channels)
    expected = pillows(picture, new_rows, new_columns, None, resampling)
    assert np.array_equal(ours(picture, new_rows, new_columns, None, resampling), expected)


@settings(max_examples=200)
@given(st.data(), st.integers(2, 50), st.integers(2, 50), st.sampled_from(["bilinear", "bicubic"]))
def test_parts_are_those_of_pillow(data: st.DataObject, rows: int, columns: int, resampling: str) -> None:
    left, right = sorted(data.draw(st.lists(st.floats(0, columns, width=32), min_size=2, max_size=2)))
    top, bottom = sorted(data.draw(st.lists(st.floats(0, rows, width=32), min_size=2, max_size=2)))
    right, bottom = min(max(right, left + 0.25), columns), min(max(bottom, top + 0.25), rows)
    box = (min(left, right - 0.25), min(top, bottom - 0.25), right, bottom)
    picture = random_picture(rows, columns, 1)
    new_rows, new_columns = data.draw(SIDE), data.draw(SIDE)
    expected = pillows(picture, new_rows, new_columns, box, resampling)
    assert np.array_equal(ours(picture, new_rows, new_columns, box, resampling), expected)


@pytest.mark.parametrize("resampling", ["bilinear", "bicubic"])
@pytest.mark.parametrize(("rows", "columns"), [(300, 517), (517, 300), (256, 256), (1030, 9)])
def test_pictures_of_several_blocks_of_rows_are_those_of_pillow(rows: int, columns: int, resampling: str) -> None:
    picture = random_picture(rows, columns, 1)
    assert np.array_equal(ours(picture, 224, 224, None, resampling), pillows(picture, 224, 224, None, resampling))


def test_a_picture_that_is_read_only_and_lies_in_pieces_is_resized_alike() -> None:
    picture = random_picture(40, 50, 1)
    piece = np.frombuffer(np.pad(picture, ((0, 0), (1, 0))).tobytes(), dtype=np.uint8).reshape(40, 51)[:, 1:]
    assert np.array_equal(ours(piece, 24, 24, None, "bilinear"), pillows(picture, 24, 24, None, "bilinear"))


@pytest.mark.parametrize("box", [(0, 0, 0, 5), (-1, 0, 5, 5), (0, 0, 5, 5.5), (3, 3, 2, 5)])
def test_a_part_that_is_empty_or_outside_is_refused(box: Box) -> None:
    with pytest.raises(ValueError, match="box is"):
        ours(random_picture(5, 5, 1), 4, 4, box, "bilinear")


def test_an_unknown_resampling_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="'lanczos'; known: bilinear, bicubic"):
        ours(random_picture(5, 5, 1), 4, 4, None, "lanczos")
