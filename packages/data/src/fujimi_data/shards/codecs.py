"""What files of a sample are, by their extensions: pictures, arrays, text, numbers."""

import io
import json
import math
import tokenize
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cache, lru_cache, partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fujimi_data.errors import MissingPackageError
from fujimi_data.shards import pillow, png

Content = bytes | memoryview


class Codec(StrEnum):
    """How a picture is written."""

    #: PNG without filters, of 1 bit a pixel where two greys are enough; the smallest.
    PNG = "png"
    #: The same with all noise stored: inflated three times as fast, two thirds larger; for any reader of PNG.
    PNG_FAST = "png-fast"
    #: numpy's format; any shape and type.
    NPY = "npy"
    #: The same, compressed by LZ4: reads fastest, 40 % larger than PNG.
    LZ4 = "npy.lz4"
    #: The same, compressed by Zstandard.
    ZSTD = "npy.zst"
    #: JPEG; for photographs, loses a little.
    JPEG = "jpg"

    @property
    def extension(self) -> str:
        """Of the files, without the dot."""
        return "png" if self is Codec.PNG_FAST else self.value


def encode_picture(codec: Codec, picture: NDArray[np.uint8]) -> bytes:
    """Write a picture of shape (rows, columns) or (rows, columns, 3).

    Raises:
        MissingPackageError: If the codec is JPEG, and simplejpeg is not installed.
    """
    return _ENCODERS[codec](picture)


def is_picture(extension: str) -> bool:
    """Whether a file of that extension is read as a picture.

    >>> is_picture("seg.png"), is_picture("json")
    (True, False)
    """
    return ending(extension) in _PICTURES


def is_pixels(array: NDArray[Any]) -> bool:
    """Whether an array has the type and a shape of a picture: (rows, columns), or (rows, columns, 3)."""
    return array.dtype == np.uint8 and (array.ndim == 2 or array.shape[2:] == (3,))


def decode(extension: str, content: Content) -> Any:
    """Read a file.

    Pictures (``png``, ``jpg``, ``npy.lz4``, ``npy.zst``, ``npy``) become arrays, ``npy`` of any type and shape; ``cls``
    and ``index`` numbers; ``txt`` and ``text`` strings; ``json`` what it holds; all else stays bytes.

    Args:
        extension: From the first dot of the file's name on.
        content: Of the file.

    Raises:
        ValueError: If the content is not what the extension says.
    """
    decoder = _DECODERS.get(ending(extension))
    return bytes(content) if decoder is None else decoder(content)


@lru_cache(maxsize=256)
def ending(extension: str) -> str:
    """The part of an extension that says what a file is: the last, with that before it if it is compressed.

    >>> ending("seg.PNG"), ending("depth.npy.zst")
    ('png', 'npy.zst')
    """
    parts = extension.lower().rsplit(".", 2)
    return ".".join(parts[-2:]) if parts[-1] in ("lz4", "zst") else parts[-1]


def _write_npy(picture: NDArray[Any]) -> bytes:
    file = io.BytesIO()
    np.save(file, picture, allow_pickle=False)
    return file.getvalue()


def _read_npy(content: Content) -> NDArray[Any]:
    """Read an array without copying it."""
    # numpy pads its header to a multiple of 64 bytes, whose length is in bytes 8 and 9
    nbytes = 10 + int.from_bytes(content[8:10], "little")
    kind, shape = _npy_form(bytes(content[:nbytes]))
    return np.frombuffer(content, dtype=kind, offset=nbytes, count=math.prod(shape)).reshape(shape)


@lru_cache(maxsize=256)
def _npy_form(header: bytes) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Type and shape that a header says; reading it takes numpy longer than all the rest."""
    file = io.BytesIO(header)
    if np.lib.format.read_magic(file) != (1, 0):
        raise ValueError("an array whose header is not of version 1.0")
    try:
        shape, fortran, kind = np.lib.format.read_array_header_1_0(file)
    except (SyntaxError, tokenize.TokenError) as wrong:  # of the literal that a header is
        raise ValueError(f"an array whose header is damaged: {wrong}") from None
    if kind.hasobject or fortran:
        raise ValueError("an array of objects, or in Fortran's order")
    return kind, shape


def _write_lz4(picture: NDArray[Any]) -> bytes:
    import lz4.frame

    return bytes(lz4.frame.compress(_write_npy(picture), store_size=True))


def _read_lz4(content: Content) -> NDArray[Any]:
    import lz4.frame

    try:
        return _read_npy(lz4.frame.decompress(content))
    except RuntimeError as wrong:
        raise ValueError(f"not LZ4: {wrong}") from None


def _write_zstd(picture: NDArray[Any]) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=3).compress(_write_npy(picture))


def _read_zstd(content: Content) -> NDArray[Any]:
    import zstandard

    try:
        return _read_npy(zstandard.ZstdDecompressor().decompress(content))
    except zstandard.ZstdError as wrong:
        raise ValueError(f"not Zstandard: {wrong}") from None


def _write_jpeg(picture: NDArray[np.uint8]) -> bytes:
    jpeg = _simplejpeg()
    if jpeg is None:
        raise MissingPackageError("to write JPEG pictures takes simplejpeg: pip install 'fujimi-data[jpeg]'")
    colours = "RGB" if picture.ndim == 3 else "GRAY"
    pixels = np.ascontiguousarray(picture if picture.ndim == 3 else picture[:, :, None])
    return bytes(jpeg.encode_jpeg(pixels, quality=95, colorspace=colours, colorsubsampling="444"))


def _read_jpeg(content: Content) -> NDArray[np.uint8]:
    pixels = _read_usual_jpeg(content)
    # of CMYK, damaged a little, or another format by that name: ImageNet has all three
    return pillow.decode(content, ("JPEG", "PNG")) if pixels is None else pixels


def _read_usual_jpeg(content: Content) -> NDArray[np.uint8] | None:
    """The pixels that Pillow would read, in half the time; None if it has to be asked."""
    jpeg = _simplejpeg()
    if jpeg is None:
        return None
    try:
        space = jpeg.decode_jpeg_header(content)[2]
        if space == "Gray":
            grey: NDArray[np.uint8] = jpeg.decode_jpeg(content, colorspace="GRAY")
            return grey[:, :, 0]
        if space == "YCbCr":
            colours: NDArray[np.uint8] = jpeg.decode_jpeg(content, colorspace="RGB")
            return colours
    except ValueError:
        pass
    return None


@cache
def _simplejpeg() -> Any:
    """The package, if it is installed."""
    try:
        return import_module("simplejpeg")
    except ImportError:
        return None


def _read_number(content: Content) -> int:
    return int(bytes(content))


def _read_text(content: Content) -> str:
    return bytes(content).decode()


def _read_json(content: Content) -> Any:
    return json.loads(bytes(content))


_ENCODERS: Mapping[Codec, Callable[[NDArray[np.uint8]], bytes]] = {
    Codec.PNG: png.encode,
    Codec.PNG_FAST: partial(png.encode, fast=True),
    Codec.NPY: _write_npy,
    Codec.LZ4: _write_lz4,
    Codec.ZSTD: _write_zstd,
    Codec.JPEG: _write_jpeg,
}
_DECODERS: Mapping[str, Callable[[Content], Any]] = {
    "png": png.decode,
    "npy": _read_npy,
    "npy.lz4": _read_lz4,
    "npy.zst": _read_zstd,
    "jpg": _read_jpeg,
    "jpeg": _read_jpeg,
    "cls": _read_number,
    "index": _read_number,
    "txt": _read_text,
    "text": _read_text,
    "json": _read_json,
}
_PICTURES = frozenset({"png", "npy", "npy.lz4", "npy.zst", "jpg", "jpeg"})
