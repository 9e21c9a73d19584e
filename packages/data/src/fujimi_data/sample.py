"""Samples: as users see them, and as bytes of a shard."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fujimi_data import png, tar
from fujimi_data.checksum import crc32c

#: Smallest and largest side of a picture.
PIXELS = (16, 16_384)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """A picture and its class.

    Args:
        picture: Grey, shape (rows, columns).
        label: Class.
        key: Name in the shard, without suffix.
    """

    picture: NDArray[np.uint8]
    label: int
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleEntry:
    """What the index of a shard says of a sample, its place aside.

    Args:
        key: Name, without suffix.
        label: Class.
        nbytes: Of both members, headers and padding included.
        picture_nbytes: Of the PNG file, which begins after the first header.
        checksum: CRC-32C of both members, headers and padding included.
    """

    key: str
    label: int
    nbytes: int
    picture_nbytes: int
    checksum: int


def encode(sample: Sample) -> tuple[SampleEntry, bytes]:
    """Two members of a tar archive: ``<key>.png``, then ``<key>.cls`` with the class in decimal."""
    picture = png.encode(sample.picture)
    content = tar.member(f"{sample.key}.png", picture) + tar.member(f"{sample.key}.cls", b"%d" % sample.label)
    entry = SampleEntry(
        key=sample.key,
        label=sample.label,
        nbytes=len(content),
        picture_nbytes=len(picture),
        checksum=crc32c(content),
    )
    return entry, content


def picture_of(content: bytes, picture_nbytes: int) -> NDArray[np.uint8]:
    """The picture in the bytes of a sample.

    Raises:
        ValueError: If there is none.
    """
    return png.decode(content[tar.BLOCK : tar.BLOCK + picture_nbytes])
