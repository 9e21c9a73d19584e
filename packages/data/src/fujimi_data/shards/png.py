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
# chunks after the header, in pictures that `decode` reads itself
_KINDS = ([b"IDAT", b"IEND"], [b"PLTE", b"IDAT", b"IEND"])
_CHUNK_NBYTES = 12
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


def encode(picture: NDArray[np.uint8]) -> bytes:
    """Write a picture of shape (rows, columns) or (rows, columns, 3).

    Filters are made for photographs: with drawings they cost time and bytes. A picture of two greys, one of them black,
    has one bit a pixel. The same picture gives the same bytes wherever the same version of libdeflate is used.
    """
    rows, columns = picture.shape[:2]
    light = int(picture.max()) if picture.ndim == 2 and picture.size else 0
    if light and not np.any((picture != 0) & (picture != light)):
        form = _Form(rows, columns, 1, _PALETTE)
        palette = _chunk(b"PLTE", bytes((0, 0, 0, light, light, light)))
        return _file(form, palette, np.packbits(picture, axis=1))
    form = _Form(rows, columns, 8, _GREY if picture.ndim == 2 else _RGB)
    return _file(form, b"", picture.reshape(form.rows, form.line_nbytes))


def decode(content: bytes | memoryview) -> NDArray[np.uint8]:
    """Read a picture: shape (rows, columns) if it is grey, (rows, columns, 3) in colour; transparency is dropped.

    Fast for what `encode` writes; Pillow reads any other. The checksums inside the file are left alone, because those
    who store it have one of their own.

    Raises:
        ValueError: If the content is no picture.
    """
    picture = _decode_unfiltered(memoryview(content))
    return pillow.decode(content, ("PNG",)) if picture is None else picture


def _file(form: _Form, palette: bytes, lines: NDArray[np.uint8]) -> bytes:
    filtered = np.zeros((form.rows, form.line_nbytes + 1), dtype=np.uint8)
    filtered[:, 1:] = lines
    header = _HEADER.pack(form.columns, form.rows, form.depth, form.colour, 0, 0, 0)
    data = bytes(deflate.zlib_compress(filtered.data.cast("B"), _LEVEL))
    return b"".join((_SIGNATURE, _chunk(b"IHDR", header), palette, _chunk(b"IDAT", data), _chunk(b"IEND", b"")))


def _chunk(kind: bytes, content: bytes) -> bytes:
    return _LENGTH.pack(len(content)) + kind + content + _LENGTH.pack(zlib.crc32(content, zlib.crc32(kind)))


def _decode_unfiltered(content: memoryview) -> NDArray[np.uint8] | None:
    """The picture, or None if it is not of the forms that this reads."""
    chunks = _chunks(content)
    if not chunks or [kind for kind, _ in chunks[1:]] not in _KINDS or len(chunks[0][1]) != _HEADER.size:
        return None
    columns, rows, depth, colour, *rest = _HEADER.unpack(chunks[0][1])
    form, light = _Form(rows, columns, depth, colour), 0
    if len(chunks) == 4:
        palette = bytes(chunks[1][1])
        light = palette[-1] if palette else 0
        known = (depth, colour) == (1, _PALETTE) and palette == bytes((0, 0, 0, light, light, light))
    else:
        known = depth == 8 and colour in (_GREY, _RGB)
    lines = _inflate(chunks[-2][1], form) if known and not any(rest) else None
    return None if lines is None else _pixels(lines, form, light)


def _chunks(content: memoryview) -> list[tuple[bytes, memoryview]]:
    """Kinds and contents of up to five chunks; none if the content is not PNG or ends too early."""
    if content[: len(_SIGNATURE)] != _SIGNATURE:
        return []
    chunks: list[tuple[bytes, memoryview]] = []
    place, end = len(_SIGNATURE), len(content)
    while len(chunks) < 5 and place + _CHUNK_NBYTES <= end:
        nbytes, kind = _CHUNK.unpack_from(content, place)
        chunks.append((kind, content[place + 8 : place + 8 + nbytes]))
        place += _CHUNK_NBYTES + nbytes
        if kind == b"IEND":
            break
    return chunks if place <= end else []


def _inflate(data: memoryview, form: _Form) -> NDArray[np.uint8] | None:
    """Rows of a picture that has no filters."""
    wanted = form.rows * (form.line_nbytes + 1)
    try:
        inflated = deflate.zlib_decompress(data, wanted)
    except deflate.DeflateError:
        return None
    if len(inflated) != wanted:
        return None
    lines = np.frombuffer(inflated, dtype=np.uint8).reshape(form.rows, form.line_nbytes + 1)
    return None if lines[:, 0].any() else lines[:, 1:]


def _pixels(lines: NDArray[np.uint8], form: _Form, light: int) -> NDArray[np.uint8]:
    if form.colour == _PALETTE:
        return np.unpackbits(lines, axis=1, count=form.columns) * np.uint8(light)
    return lines if form.colour == _GREY else lines.reshape(form.rows, form.columns, 3)
