import io

import numpy as np
import pytest
from fujimi_data.shards import png
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image


def picture(rows: int, columns: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (rows, columns), dtype=np.uint8)


def pillow_png(image: Image.Image, **options: int) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99), st.booleans())
def test_what_is_written_is_read_again(rows: int, columns: int, seed: int, fast: bool) -> None:
    given_picture = picture(rows, columns, seed)
    assert np.array_equal(png.decode(png.encode(given_picture, fast=fast)), given_picture)


@pytest.mark.parametrize("fast", [False, True])
def test_pillow_reads_what_is_written(fast: bool) -> None:
    with Image.open(io.BytesIO(png.encode(picture(20, 30), fast=fast))) as image:
        image.load()
        assert image.mode == "L"
        assert np.array_equal(np.asarray(image), picture(20, 30))


def test_filtered_pictures_of_others_are_read() -> None:
    # a ramp, for which Pillow chooses filters other than none
    ramp = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    assert np.array_equal(png.decode(pillow_png(Image.fromarray(ramp))), ramp)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99), st.booleans())
def test_colours_are_read_again(rows: int, columns: int, seed: int, fast: bool) -> None:
    given_picture = np.random.default_rng(seed).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    written = png.encode(given_picture, fast=fast)
    assert np.array_equal(png.decode(written), given_picture)
    with Image.open(io.BytesIO(written)) as image:
        assert image.mode == "RGB"
        assert np.array_equal(np.asarray(image), given_picture)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 255), st.integers(0, 99), st.booleans())
def test_pictures_of_black_and_one_grey_take_a_bit_a_pixel(
    rows: int, columns: int, light: int, seed: int, fast: bool
) -> None:
    given_picture = (picture(rows, columns, seed) & 1) * np.uint8(light)
    written = png.encode(given_picture, fast=fast)
    assert np.array_equal(png.decode(written), given_picture)
    with Image.open(io.BytesIO(written)) as image:
        assert np.array_equal(np.asarray(image.convert("L")), given_picture)
        assert image.mode == "P" or not given_picture.any()


def test_a_bit_a_pixel_takes_an_eighth_of_the_bytes() -> None:
    noise = picture(256, 256) & 1
    assert len(png.encode(noise * np.uint8(127))) < 256 * 256 / 8 * 1.05


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_of_others_are_read_as_colours(mode: str) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (9, 9, 3), dtype=np.uint8))
    image = image.convert(mode)
    assert np.array_equal(png.decode(pillow_png(image)), np.asarray(image.convert("RGB")))


def test_pictures_of_two_greys_a_bit_each_are_read() -> None:
    image = Image.new("1", (9, 9), 1)
    assert np.all(png.decode(pillow_png(image)) == 255)


@pytest.mark.parametrize("content", [b"", b"no picture", png.encode(picture(9, 9))[:60]])
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a PNG picture"):
        png.decode(content)
