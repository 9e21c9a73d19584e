"""Pictures as PNG: written without filters, so that reading is one inflate."""

import struct
import zlib
from typing import NamedTuple

import deflate
import numpy as np
from numpy.typing import NDArray

from fujimi_data.shards import pillow

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEADER = struct.Struct(">IIBBBBB")
_LENGTH = struct.Struct(">I")
_CHUNK = struct.Struct(">I4s")
_CHUNK_NBYTES = 12
# what a picture begins with that `decode` reads itself, its header and checksum, and what it ends with
_START = _SIGNATURE + _CHUNK.pack(_HEADER.size, b"IHDR")
_HEADER_END = len(_START) + _HEADER.size + 4
_PALETTE_NBYTES = 6
_PALETTE_END = _HEADER_END + _CHUNK_NBYTES + _PALETTE_NBYTES
_END = _CHUNK.pack(0, b"IEND")
_GREY, _RGB, _PALETTE = 0, 2, 3
# libdeflate's fastest level; higher ones win 5 % of bytes and no time of reading
_LEVEL = 1


class _Form(NamedTuple):
    """What the header of a picture says that `decode` reads itself."""

    rows: int
    columns: int
    depth: int
    colour: int

    @property
    def line_nbytes(self) -> int:
        """Bytes of a row of pixels, the filter's byte aside."""
        return -(-self.columns * self.depth * (3 if self.colour == _RGB else 1) // 8)


def encode(picture: NDArray[np.uint8], *, fast: bool = False) -> bytes:
    """Write a picture of shape (rows, columns) or (rows, columns, 3).

    Filters are made for photographs: with drawings they cost time and bytes. A picture of two greys, one of them black,
    has one bit a pixel. The same picture gives the same bytes wherever the same version of libdeflate is used.

    Args:
        picture: To write.
        fast: Whether noise is stored and only long repeats are compressed: see `fujimi_data.shards.stored`.
    """
    rows, columns = picture.shape[:2]
    light = int(picture.max()) if picture.ndim == 2 and picture.size else 0
    if light and not np.any((picture != 0) & (picture != light)):
        form = _Form(rows, columns, 1, _PALETTE)
        return _file(form, _chunk(b"PLTE", _palette(light)), np.packbits(picture, axis=1), fast=fast)
    form = _Form(rows, columns, 8, _GREY if picture.ndim == 2 else _RGB)
    return _file(form, b"", picture.reshape(form.rows, form.line_nbytes), fast=fast)


def decode(content: bytes | memoryview) -> NDArray[np.uint8]:
    """Read a picture: shape (rows, columns) if it is grey, (rows, columns, 3) in colour; transparency is dropped.

    Fast for what `encode` writes; Pillow reads any other. The checksums inside the file are left alone, because those
    who store it have one of their own.

    Raises:
        ValueError: If the content is no picture.
    """
    picture = _decode_unfiltered(memoryview(content))
    return pillow.decode(content, ("PNG",)) if picture is None else picture


def _file(form: _Form, palette: bytes, lines: NDArray[np.uint8], *, fast: bool) -> bytes:
    filtered = np.zeros((form.rows, form.line_nbytes + 1), dtype=np.uint8)
    filtered[:, 1:] = lines
    header = _HEADER.pack(form.columns, form.rows, form.depth, form.colour, 0, 0, 0)
    data = _stored(filtered.ravel()) if fast else bytes(deflate.zlib_compress(filtered.data.cast("B"), _LEVEL))
    return b"".join((_SIGNATURE, _chunk(b"IHDR", header), palette, _chunk(b"IDAT", data), _chunk(b"IEND", b"")))


def _stored(content: NDArray[np.uint8]) -> bytes:
    # numba takes longer to import than the rest together
    from fujimi_data.shards.stored import zlib_compress

    return zlib_compress(content)


def _palette(light: int) -> bytes:
    """Black and a grey."""
    return bytes((0, 0, 0, light, light, light))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return _LENGTH.pack(len(content)) + kind + content + _LENGTH.pack(zlib.crc32(content, zlib.crc32(kind)))


def _decode_unfiltered(content: memoryview) -> NDArray[np.uint8] | None:
    """The picture, or None if it is not of the forms that this reads."""
    if content[: len(_START)] != _START or len(content) < _PALETTE_END:
        return None
    columns, rows, depth, colour, *rest = _HEADER.unpack_from(content, len(_START))
    form, light, place = _Form(rows, columns, depth, colour), 0, _HEADER_END
    if (depth, colour) == (1, _PALETTE):
        light, place = content[_PALETTE_END - 5], _PALETTE_END
        if content[_HEADER_END : _PALETTE_END - 4] != _CHUNK.pack(_PALETTE_NBYTES, b"PLTE") + _palette(light):
            return None
    elif depth != 8 or colour not in (_GREY, _RGB):
        return None
    data = _only_data(content, place)
    lines = None if data is None or any(rest) else _inflate(data, form)
    return None if lines is None else _pixels(lines, form, light)


def _only_data(content: memoryview, place: int) -> memoryview | None:
    """Content of the chunk that begins at a place, if it is of data and the last."""
    if len(content) < place + _CHUNK.size:
        return None
    nbytes, kind = _CHUNK.unpack_from(content, place)
    start = place + _CHUNK.size
    end = start + nbytes + 4
    return content[start : start + nbytes] if kind == b"IDAT" and content[end : end + len(_END)] == _END else None


def _inflate(data: memoryview, form: _Form) -> NDArray[np.uint8] | None:
    """Rows of a picture that has no filters."""
    wanted = form.rows * (form.line_nbytes + 1)
    try:
        inflated = deflate.zlib_decompress(data, wanted)
    except deflate.DeflateError:
        return None
    if len(inflated) != wanted:
        return None
    if inflated[:: form.line_nbytes + 1] != bytes(form.rows):
        return None
    return np.frombuffer(inflated, dtype=np.uint8).reshape(form.rows, form.line_nbytes + 1)[:, 1:]


def _pixels(lines: NDArray[np.uint8], form: _Form, light: int) -> NDArray[np.uint8]:
    if form.colour == _PALETTE:
        return np.unpackbits(lines, axis=1, count=form.columns) * np.uint8(light)
    return lines if form.colour == _GREY else lines.reshape(form.rows, form.columns, 3)
