import io
import json
from typing import Any

import lz4.frame
import numpy as np
import pytest
import zstandard
from fujimi_data.errors import MissingPackageError
from fujimi_data.shards import codecs
from fujimi_data.shards.codecs import Codec, decode, encode_picture, is_picture
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

LOSSLESS = [Codec.PNG, Codec.PNG_FAST, Codec.NPY, Codec.LZ4, Codec.ZSTD]


def picture(rows: int, columns: int, colour: bool, seed: int) -> NDArray[np.uint8]:
    shape = (rows, columns, 3) if colour else (rows, columns)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@given(st.sampled_from(LOSSLESS), st.integers(1, 30), st.integers(1, 30), st.booleans(), st.integers(0, 9))
def test_what_is_written_is_read_again(codec: Codec, rows: int, columns: int, colour: bool, seed: int) -> None:
    given_picture = picture(rows, columns, colour, seed)
    assert np.array_equal(decode(codec.extension, encode_picture(codec, given_picture)), given_picture)
    assert is_picture(codec.extension)


def test_others_read_what_is_written() -> None:
    given_picture = picture(9, 7, True, 0)
    opened = {
        Codec.NPY: lambda content: content,
        Codec.LZ4: lz4.frame.decompress,
        Codec.ZSTD: zstandard.ZstdDecompressor().decompress,
    }
    for codec, decompress in opened.items():
        assert np.array_equal(np.load(io.BytesIO(decompress(encode_picture(codec, given_picture)))), given_picture)


@pytest.mark.parametrize("colour", [False, True])
def test_jpeg_is_what_pillow_reads(colour: bool) -> None:
    ramp = np.add.outer(np.arange(32), np.arange(48)).astype(np.uint8)
    given_picture = np.stack([ramp, ramp // 2, 255 - ramp], axis=2) if colour else ramp
    content = encode_picture(Codec.JPEG, given_picture)
    with Image.open(io.BytesIO(content)) as image:
        assert image.format == "JPEG"
        assert np.abs(np.asarray(image).astype(int) - given_picture).max() < 12
        assert np.array_equal(np.asarray(image), decode("jpg", content))


def photograph(mode: str, kind: str, seed: int = 0, **options: Any) -> bytes:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize((40 + seed, 51), Image.Resampling.BICUBIC).convert(mode)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("installed", [True, False])
def test_photographs_are_those_of_pillow_whatever_is_installed(
    monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    if not installed:
        monkeypatch.setattr(codecs, "_simplejpeg", lambda: None)
    usual = [
        photograph(mode, "JPEG", seed, quality=50 + 10 * seed, subsampling=seed % 3, progressive=seed > 2)
        for mode in ("RGB", "L")
        for seed in range(5)
    ]
    # ImageNet has pictures of four inks, and PNG files by the name of JPEG
    for content in [*usual, photograph("CMYK", "JPEG"), photograph("RGB", "PNG")]:
        with Image.open(io.BytesIO(content)) as image:
            expected = np.asarray(image.convert("L" if image.mode == "L" else "RGB"))
        assert np.array_equal(decode("jpeg", content), expected)


@pytest.mark.parametrize("installed", [True, False])
def test_photographs_that_are_cut_are_refused(monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    if not installed:
        monkeypatch.setattr(codecs, "_simplejpeg", lambda: None)
    content = photograph("RGB", "JPEG")
    for nbytes in (0, 100, len(content) // 2):
        with pytest.raises(ValueError, match="not a JPEG or PNG picture"):
            decode("jpg", content[:nbytes])


def test_to_write_jpeg_says_what_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codecs, "_simplejpeg", lambda: None)
    with pytest.raises(MissingPackageError, match=r"pip install 'fujimi-data\[jpeg\]'"):
        encode_picture(Codec.JPEG, picture(4, 4, False, 0))


@pytest.mark.parametrize(
    ("extension", "content", "value"),
    [
        ("cls", b"12", 12),
        ("index", b" 7\n", 7),
        ("txt", "富士".encode(), "富士"),
        ("JSON", json.dumps({"a": [1]}).encode(), {"a": [1]}),
        ("meta.json", b"1", 1),
        ("bin", b"\0\1", b"\0\1"),
        ("", b"x", b"x"),
    ],
)
def test_files_are_read_by_their_extensions(extension: str, content: bytes, value: object) -> None:
    assert decode(extension, content) == value
    assert decode(extension, memoryview(content)) == value


def test_arrays_of_tokens_keep_type_and_shape() -> None:
    file = io.BytesIO()
    tokens = np.arange(12, dtype="<u4").reshape(3, 4)
    np.save(file, tokens)
    read = decode("tokens.npy", file.getvalue())
    assert read.dtype == tokens.dtype
    assert np.array_equal(read, tokens)


@pytest.mark.parametrize("extension", ["png", "npy", "npy.lz4", "npy.zst", "jpg", "cls", "json", "txt"])
@pytest.mark.parametrize("content", [b"", b"\xff\xfe nonsense"])
def test_what_is_something_else_is_refused(extension: str, content: bytes) -> None:
    if extension == "txt" and not content:
        return
    with pytest.raises(ValueError):  # noqa: PT011 (each library words its own)
        decode(extension, content)


def test_cut_arrays_are_refused() -> None:
    for codec in (Codec.NPY, Codec.LZ4, Codec.ZSTD):
        content = encode_picture(codec, picture(20, 20, False, 0))
        with pytest.raises(ValueError):  # noqa: PT011
            decode(codec.value, content[:-30])


def test_objects_are_never_unpickled() -> None:
    file = io.BytesIO()
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="objects"):
        decode("npy", file.getvalue())
