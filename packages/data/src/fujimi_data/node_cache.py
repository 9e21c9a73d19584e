"""Keeps what was drawn once in tar archives on node-local storage, for all processes of the node."""

import errno
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from struct import Struct

import numpy as np
from numpy.typing import NDArray

from fujimi_data.errors import Damage
from fujimi_data.generated import GeneratedDataset
from fujimi_data.shards import tar
from fujimi_data.shards.checksum import crc32c
from fujimi_data.shards.codecs import Codec, encode_picture
from fujimi_data.shards.sample import encode, picture_in
from fujimi_data.source import Picture

_log = logging.getLogger(__name__)
# Of each picture: archive (0: none), length [blocks], checksum, unused; where it begins [blocks].
_SLOT = Struct("<IIIIQ")
_SLOTS = "slots"
# LZ4, since it must be faster to read than to draw
_CODEC = Codec.LZ4


class NodeCache:
    """A generated dataset whose pictures are drawn once for each node.

    Each process appends to an archive of its own, ``cache-<n>.tar``; a file of slots, one for each picture, tells all
    processes of the node where it lies. What is damaged, or only half written when a process was killed, does not match
    its checksum and is drawn again. If the storage is full, pictures are drawn and not kept.

    Args:
        dataset: Whose pictures to keep.
        directory: On storage of this node; each dataset has a directory of its own in it.

    Raises:
        OSError: If the directory cannot be made.
    """

    def __init__(self, dataset: GeneratedDataset, directory: Path | str) -> None:
        self._dataset = dataset
        self.directory = Path(directory).absolute() / dataset.recipe.digest
        self.directory.mkdir(parents=True, exist_ok=True)
        self._slots = os.open(self.directory / _SLOTS, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
        self._archives: dict[int, int] = {}
        self._lock = threading.Lock()
        self._own = 0
        self._end = 0
        self._process = os.getpid()
        #: Pictures that this process found, and that it had to draw.
        self.found, self.drawn = 0, 0

    def __len__(self) -> int:
        return len(self._dataset)

    def __del__(self) -> None:
        if hasattr(self, "_slots"):
            self.close()

    def close(self) -> None:
        """Close all files; what is kept stays for the next run."""
        archives, self._archives = self._archives, {}
        slots, self._slots = self._slots, -1
        for descriptor in (slots, *archives.values()):
            if descriptor >= 0:
                os.close(descriptor)

    def pictures(self, numbers: NDArray[np.int64]) -> Iterator[Picture]:
        """Read pictures that were drawn before, and draw the others.

        Raises:
            IndexError: If there is no such picture.
            PluginError: If the generator fails.
        """
        for number in numbers.tolist():
            pixels = self._read(number) if 0 <= number < len(self) else None
            if pixels is not None:
                self.found += 1
                yield Picture(pixels, self._dataset.recipe.picture(number)[0])
                continue
            (picture,) = self._dataset.pictures(np.array([number]))
            self.drawn += 1
            if not isinstance(picture.pixels, Damage):
                self._keep(number, picture.pixels)
            yield picture

    def _read(self, number: int) -> NDArray[np.uint8] | None:
        slot = os.pread(self._slots, _SLOT.size, number * _SLOT.size)
        if len(slot) < _SLOT.size:
            return None
        archive, blocks, checksum, _, start = _SLOT.unpack(slot)
        descriptor = self._archive(archive) if archive else -1
        if descriptor < 0:
            return None
        try:
            content = os.pread(descriptor, blocks * tar.BLOCK, start * tar.BLOCK)
            return picture_in(memoryview(content)) if crc32c(content) == checksum else None
        except (OSError, ValueError):
            return None

    def _keep(self, number: int, pixels: NDArray[np.uint8]) -> None:
        recipe = self._dataset.recipe
        label = recipe.picture(number)[0]
        files = {_CODEC.value: encode_picture(_CODEC, pixels), "cls": b"%d" % label}
        entry, content = encode(recipe.key(number), files)
        with self._lock:
            if self._process != os.getpid():
                # inherited by fork: the archive is another process's
                self._process, self._own, self._end = os.getpid(), 0, 0
            if self._own < 0:
                return
            try:
                self._append(number, content, entry.checksum)
            except OSError as wrong:
                self._own = -1
                _log.warning("%s: %s; pictures are drawn and no longer kept", self.directory, wrong.strerror)

    def _append(self, number: int, content: bytes, checksum: int) -> None:
        if self._own == 0:
            self._own = self._new_archive()
        start = self._end
        if os.pwrite(self._archives[self._own], content, start) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._end += len(content)
        slot = _SLOT.pack(self._own, len(content) // tar.BLOCK, checksum, 0, start // tar.BLOCK)
        os.pwrite(self._slots, slot, number * _SLOT.size)

    def _new_archive(self) -> int:
        """Make the archive with the first number that is free."""
        for number in range(1, 2**20):
            flags = os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC
            try:
                self._archives[number] = os.open(self._path(number), flags, 0o666)
            except FileExistsError:
                continue
            return number
        raise OSError(errno.EMFILE, "no number is free for an archive")

    def _archive(self, number: int) -> int:
        if number not in self._archives:
            try:
                descriptor = os.open(self._path(number), os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return -1
            if self._archives.setdefault(number, descriptor) != descriptor:
                os.close(descriptor)
        return self._archives[number]

    def _path(self, number: int) -> Path:
        return self.directory / f"cache-{number:05d}.tar"
