"""Members of a tar archive as bytes (POSIX ustar), the same for the same content."""

import tarfile
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

#: Everything in a tar archive comes in blocks of so many bytes.
BLOCK = 512
#: What an archive ends with.
END = bytes(2 * BLOCK)
# name, size in octal digits and the first folders of the name, in a header
_HEADER = Struct("100s24x11s210x155s12x")


class Member(NamedTuple):
    """Where a file lies in some bytes of an archive.

    Args:
        name: Of the file.
        start: Of its content [B].
        nbytes: Of its content.
    """

    name: str
    start: int
    nbytes: int


def member(name: str, content: bytes) -> bytes:
    """Header, content and padding of one file.

    Owner, time and permissions are constants.

    Raises:
        ValueError: If the name is longer than tar can write (255 bytes, a part of it at most 100), or the content
            larger (8 GiB).
    """
    return b"".join((header(name, len(content)), content, bytes(padding(len(content)))))


def header(name: str, nbytes: int) -> bytes:
    """Header of a file of so many bytes."""
    info = tarfile.TarInfo(name)
    info.size = nbytes
    try:
        return info.tobuf(tarfile.USTAR_FORMAT, encoding="utf-8", errors="surrogateescape")
    except ValueError as wrong:
        raise ValueError(f"no name or size for a tar archive: {name!r}, {nbytes} bytes: {wrong}") from None


def padding(nbytes: int) -> int:
    """Bytes that fill up the last block."""
    return -nbytes % BLOCK


def members(content: memoryview) -> Iterator[Member]:
    """Files in some bytes of an archive that `member` wrote.

    Raises:
        ValueError: If a header is none.
    """
    place = 0
    while place < len(content):
        if len(content) < place + BLOCK or bytes(content[place + 257 : place + 262]) != b"ustar":
            raise ValueError(f"no tar header at byte {place}")
        name, digits, prefix = _HEADER.unpack_from(content, place)
        path, nbytes = name.rstrip(b"\0"), int(digits, 8)
        if prefix[0]:
            path = prefix.rstrip(b"\0") + b"/" + path
        yield Member(path.decode(errors="surrogateescape"), place + BLOCK, nbytes)
        place += BLOCK + nbytes + padding(nbytes)
