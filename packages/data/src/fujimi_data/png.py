"""Grey pictures as PNG: written without filters, so that reading is one inflate."""

import io
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")
_LENGTH = struct.Struct(">I")
# 8 bits of grey, deflate, the one set of filters there is, not interlaced
_GREY = (8, 0, 0, 0, 0)
_DATA_AT = len(_SIGNATURE) + 12 + _HEADER.size


def encode(picture: NDArray[np.uint8]) -> bytes:
    """Write a picture of shape (rows, columns).

    Filters are made for photographs: with line drawings they cost time and bytes. The same picture gives the same bytes
    wherever the same zlib is used.
    """
    rows, columns = picture.shape
    lines = np.zeros((rows, columns + 1), dtype=np.uint8)
    lines[:, 1:] = picture
    return b"".join(
        [
            _SIGNATURE,
            _chunk(b"IHDR", _HEADER.pack(columns, rows, *_GREY)),
            _chunk(b"IDAT", zlib.compress(lines.data, level=1)),
            _chunk(b"IEND", b""),
        ]
    )


def decode(content: bytes) -> NDArray[np.uint8]:
    """Read a picture, of shape (rows, columns); one with colours becomes grey.

    Fast for what `encode` writes; Pillow reads any other. The checksums inside the file are left alone, because those
    who store it have one of their own.

    Raises:
        ValueError: If the content is no picture.
    """
    picture = _decode_unfiltered(content)
    return _decode_any(content) if picture is None else picture


def _chunk(kind: bytes, content: bytes) -> bytes:
    return _LENGTH.pack(len(content)) + kind + content + _LENGTH.pack(zlib.crc32(content, zlib.crc32(kind)))


def _decode_unfiltered(content: bytes) -> NDArray[np.uint8] | None:
    """The picture, or None if it is not of the one form that this reads."""
    if len(content) < _DATA_AT + 8 or not content.startswith(_SIGNATURE) or content[_DATA_AT + 4 :][:4] != b"IDAT":
        return None
    columns, rows, *form = _HEADER.unpack_from(content, len(_SIGNATURE) + 8)
    (nbytes,) = _LENGTH.unpack_from(content, _DATA_AT)
    end = _DATA_AT + 8 + nbytes
    if tuple(form) != _GREY or content[end + 8 : end + 12] != b"IEND":
        return None
    try:
        lines = np.frombuffer(zlib.decompress(memoryview(content)[_DATA_AT + 8 : end]), dtype=np.uint8)
    except zlib.error:
        return None
    if len(lines) != rows * (columns + 1):
        return None
    lines = lines.reshape(rows, columns + 1)
    return None if lines[:, 0].any() else lines[:, 1:]


def _decode_any(content: bytes) -> NDArray[np.uint8]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
            return np.asarray(image.convert("L"))
    except (OSError, SyntaxError) as wrong:
        raise ValueError(f"not a PNG picture: {wrong}") from None
