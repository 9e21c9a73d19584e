"""Samples: files of one key, as users see them and as bytes of a shard."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fujimi_data.shards import codecs, tar
from fujimi_data.shards.checksum import crc32c


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """Files that belong together: a picture, its class, what else is known of it.

    >>> sample = Sample(key="00003_00017", label=3, files={"json": b'{"angle": 0.5}', "cls": b"3"})
    >>> sample["json"]
    {'angle': 0.5}

    Args:
        key: Name, without extension.
        label: Class, if samples have one.
        files: Content of each file by its extension, the part of the name from its first dot on.
    """

    key: str
    label: int | None
    files: Mapping[str, bytes | memoryview]

    def __getitem__(self, extension: str) -> Any:
        """A file, decoded as its extension says: see `fujimi_data.shards.codecs.decode`.

        Raises:
            KeyError: If there is no such file.
            ValueError: If it is not what its extension says.
        """
        return codecs.decode(extension, self.files[extension])

    def __reduce__(self) -> tuple[Any, ...]:
        # views of what was read cannot be sent to another process
        files = {extension: bytes(content) for extension, content in self.files.items()}
        return _sample, (self.key, self.label, files)

    @property
    def picture(self) -> NDArray[np.uint8]:
        """The first file that is a picture: shape (rows, columns), or (rows, columns, 3) in colour.

        Raises:
            ValueError: If none is, or it cannot be read.
        """
        for extension in self.files:
            if codecs.is_picture(extension):
                picture: NDArray[np.uint8] = self[extension]
                return picture
        raise ValueError(f"sample {self.key} has no picture: {', '.join(self.files)}")


def _sample(key: str, label: int | None, files: Mapping[str, bytes]) -> Sample:
    return Sample(key=key, label=label, files=files)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleEntry:
    """What the index of a shard says of a sample.

    Args:
        key: Name, without extension.
        nbytes: Of all its members, headers and padding included: whole blocks of a tar archive.
        checksum: CRC-32C of them.
        label: Class; 0 where samples have none.
    """

    key: str
    nbytes: int
    checksum: int
    label: int = 0


def encode(key: str, files: Mapping[str, bytes], *, label: int = 0) -> tuple[SampleEntry, bytes]:
    """Members of a tar archive, ``<key>.<extension>`` each, in the order of the mapping.

    Raises:
        ValueError: If there are no files, or tar cannot write a name.
    """
    if not files:
        raise ValueError(f"sample {key} has no files")
    content = b"".join(tar.member(f"{key}.{extension}", file) for extension, file in files.items())
    return SampleEntry(key=key, nbytes=len(content), checksum=crc32c(content), label=label), content


def decode(content: memoryview, *, label: int | None) -> Sample:
    """Sample in the bytes of its members.

    Raises:
        ValueError: If they are no members of one key.
    """
    files: dict[str, memoryview] = {}
    key = None
    for name, start, nbytes in tar.members(content):
        key, extension = split(name)
        files[extension] = content[start : start + nbytes]
    if key is None:
        raise ValueError("a sample without files")
    return Sample(key=key, label=label, files=files)


def picture_in(content: memoryview) -> NDArray[np.uint8]:
    """The first picture in the bytes of a sample's members.

    Raises:
        ValueError: If none is, or it cannot be read.
    """
    for name, start, nbytes in tar.members(content):
        _, extension = split(name)
        if codecs.is_picture(extension):
            picture: NDArray[np.uint8] = codecs.decode(extension, content[start : start + nbytes])
            return picture
    raise ValueError("the sample has no picture")


def split(name: str) -> tuple[str, str]:
    """Key and extension of a file's name; the extension begins after the first dot of its last part.

    >>> split("n01440764/n01440764_18.seg.png")
    ('n01440764/n01440764_18', 'seg.png')
    """
    folder, slash, last = name.rpartition("/")
    stem, _, extension = last.partition(".")
    return f"{folder}{slash}{stem}", extension
