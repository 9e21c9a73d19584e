"""Samples of others: directories of pictures by class, and tar archives in the manner of webdataset."""

import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from fujimi_core.errors import FujimiError

from fujimi_data.order import permuted
from fujimi_data.shards import tar
from fujimi_data.shards.sample import split

#: File of a sample that has its class, in decimal.
LABEL = "cls"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A sample that was found, not read yet.

    Args:
        key: Name, without extension.
        nbytes: Length of each file by its extension.
        label: Class, where the directory tells.
        read: Reads the files, by their extensions.
    """

    key: str
    nbytes: Mapping[str, int]
    label: int | None
    read: Callable[[], dict[str, bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Foreign:
    """What was found.

    Args:
        kind: ``imagefolder`` or ``webdataset``.
        classes: Names of the classes, whose numbers are the labels.
        samples: In the order in which they are to be packed.
    """

    kind: str
    classes: tuple[str, ...]
    samples: Sequence[Found]

    @property
    def labels(self) -> bool:
        """Whether each sample has a label."""
        return all(sample.label is not None or LABEL in sample.nbytes for sample in self.samples)


def find(source: Path) -> Foreign:
    """Look for samples.

    A directory of directories has a class in each; its samples are shuffled, so that each shard has all classes. A tar
    archive, or a directory of them, has samples whose files follow each other; they stay in order.

    Raises:
        FujimiError: If there are none, or one cannot be named.
    """
    archives = [source] if source.is_file() else sorted(source.glob("*.tar"))
    if archives:
        found = Foreign(kind="webdataset", classes=(), samples=list(_in_archives(archives)))
    elif source.is_dir():
        classes = tuple(sorted(path.name for path in source.iterdir() if path.is_dir() and path.name[0] != "."))
        samples = [sample for label, name in enumerate(classes) for sample in _in_folder(source / name, name, label)]
        found = Foreign(kind="imagefolder", classes=classes, samples=_shuffled(samples))
    else:
        raise FujimiError(f"{source}: no such directory or tar archive")
    if not found.samples:
        raise FujimiError(f"{source} has neither tar archives nor directories of pictures, one for each class")
    return found


def _shuffled(samples: Sequence[Found]) -> list[Found]:
    if not samples:
        return []
    order = permuted(np.arange(len(samples)), samples=len(samples), seed=0, epoch=0)
    return [samples[place] for place in order.tolist()]


def _in_folder(folder: Path, name: str, label: int) -> Iterator[Found]:
    """Samples of a class; files whose names differ in the extension alone are one."""
    groups: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            key, extension = split(f"{name}/{path.relative_to(folder).as_posix()}")
            if not extension:
                raise FujimiError(f"{path} has no extension: what it is cannot be told; rename or remove it")
            groups.setdefault(key, {})[extension] = path
    for key, paths in groups.items():
        yield Found(
            key=key,
            nbytes={extension: path.stat().st_size for extension, path in paths.items()},
            label=label,
            read=partial(_read_files, paths),
        )


def _in_archives(paths: Sequence[Path]) -> Iterator[Found]:
    keys: set[str] = set()
    for path in paths:
        for key, members in _groups(path):
            if key in keys:
                raise FujimiError(f"{path} has sample {key!r} a second time: samples need names of their own")
            keys.add(key)
            yield Found(
                key=key,
                nbytes={extension: member.size for extension, member in members.items()},
                label=None,
                read=partial(_read_members, path, members),
            )


def _groups(path: Path) -> Iterator[tuple[str, dict[str, tarfile.TarInfo]]]:
    """Keys of an archive, and the files of each, which follow each other."""
    key: str | None = None
    members: dict[str, tarfile.TarInfo] = {}
    try:
        with tarfile.open(path, "r:") as archive:
            for member in archive:
                name, extension = split(member.name.removeprefix("./"))
                if not member.isfile() or not extension or name.rpartition("/")[2].startswith("__"):
                    continue
                if name != key:
                    if key is not None:
                        yield key, members
                    key, members = name, {}
                members[extension] = member
            _check_end(path, archive.offset)
    except (OSError, tarfile.TarError) as wrong:
        raise FujimiError(f"{path} cannot be read as an uncompressed tar archive: {wrong}") from None
    if key is not None:
        yield key, members


def _check_end(path: Path, offset: int) -> None:
    """Make sure that an archive ends where its reader stopped: tarfile takes a damaged header for the end."""
    with path.open("rb") as file:
        file.seek(offset)
        block = file.read(tar.BLOCK)
    if len(block) < tar.BLOCK:
        raise FujimiError(
            f"{path} ends at byte {offset + len(block)} without the zeros of an archive's end: it was cut"
        )
    if any(block):
        raise FujimiError(f"{path}: no header at byte {offset}: the archive is damaged")


def _read_files(paths: Mapping[str, Path]) -> dict[str, bytes]:
    try:
        return {extension: path.read_bytes() for extension, path in paths.items()}
    except OSError as wrong:
        raise FujimiError(f"{wrong.filename} cannot be read: {wrong.strerror}") from None


def _read_members(path: Path, members: Mapping[str, tarfile.TarInfo]) -> dict[str, bytes]:
    content = {}
    try:
        with path.open("rb") as file:
            for extension, member in members.items():
                file.seek(member.offset_data)
                content[extension] = file.read(member.size)
                if len(content[extension]) != member.size:
                    raise FujimiError(f"{path}: {member.name} at byte {member.offset_data} is cut off")
    except OSError as wrong:
        raise FujimiError(f"{path} cannot be read: {wrong.strerror}") from None
    return content
