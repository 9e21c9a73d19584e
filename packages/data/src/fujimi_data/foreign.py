"""Samples of others: directories of pictures by class, and tar archives in the manner of webdataset."""

import os
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from fujimi_core.errors import FujimiError

from fujimi_data.order import permuted
from fujimi_data.shards import tar
from fujimi_data.shards.codecs import ending, is_picture
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
        """Whether each sample has a label.

        Raises:
            FujimiError: If some have one and some have none.
        """
        without = [sample.key for sample in self.samples if sample.label is None and LABEL not in sample.nbytes]
        if 0 < len(without) < len(self.samples):
            raise FujimiError(
                f"{len(without)} of {len(self.samples)} samples have no .{LABEL} file, the first is {without[0]!r}: "
                "all have a label, or none has"
            )
        return not without


def find(source: Path) -> Foreign:
    """Look for samples.

    A directory of directories has a class in each; its samples are shuffled, so that each shard has all classes. A tar
    archive, or a directory of them, has samples whose files follow each other; they stay in order. Files and
    directories whose names begin with a dot are left out.

    Raises:
        FujimiError: If there are none, or something there cannot be packed.
    """
    archives = [source] if source.is_file() else sorted(source.glob("*.tar"))
    shown = sorted(path for path in source.iterdir() if path.name[0] != ".") if source.is_dir() else []
    classes = tuple(path.name for path in shown if path.is_dir())
    if archives and classes:
        raise FujimiError(
            f"{source} has tar archives, such as {archives[0].name}, and directories, such as {classes[0]}: "
            "pack them one after the other"
        )
    if archives:
        found = Foreign(kind="webdataset", classes=(), samples=list(_in_archives(archives)))
    elif source.is_dir():
        for path in shown:
            if not path.is_dir() and is_picture(split(path.name)[1]):
                raise FujimiError(f"{path} is in no directory of a class: move it into one, or remove it")
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
    """Samples of a class."""
    paths = {f"{name}/{path.relative_to(folder).as_posix()}": path for path in sorted(_files_below(folder))}
    for key, names in named(list(paths)).items():
        if LABEL in names:
            raise FujimiError(f"{paths[names[LABEL]]}: its directory tells its class; remove the file")
        files = {extension: paths[file] for extension, file in names.items()}
        yield Found(
            key=escaped(key),
            nbytes={extension: path.stat().st_size for extension, path in files.items()},
            label=label,
            read=partial(_read_files, files),
        )


def _files_below(folder: Path) -> Iterator[Path]:
    """All files of a directory and of those in it, linked ones as well."""

    def refuse(wrong: OSError) -> None:
        raise FujimiError(f"{wrong.filename} cannot be read: {wrong.strerror}")

    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        if Path(place).parent.resolve().is_relative_to(Path(place).resolve()):
            raise FujimiError(f"{place} is a link to a directory that it lies in: remove it")
        folders[:] = [name for name in folders if name[0] != "."]
        for name in names:
            path = Path(place, name)
            if name[0] == ".":
                continue
            if not path.is_file():
                raise FujimiError(f"{path} is no file that can be read, or a link to nothing: mend or remove it")
            if "." not in name:
                raise FujimiError(f"{path} has no extension: what it is cannot be told; rename or remove it")
            yield path


def named(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Keys of samples, and the files of each by their extensions; those that are the sample's own come first.

    Files whose names differ in the extension alone are of one sample, and so are those with something before the
    extension, if there is a file without it.

    >>> named(["cat.0.jpg", "cat.1.jpg"])
    {'cat.0': {'jpg': 'cat.0.jpg'}, 'cat.1': {'jpg': 'cat.1.jpg'}}
    >>> named(["1.mask.png", "1.png"])
    {'1': {'png': '1.png', 'mask.png': '1.mask.png'}}
    """
    parts = [(name, *split(name)) for name in names]
    own = {key for _, key, extension in parts if len(ending(extension)) == len(extension)}
    groups: dict[str, dict[str, str]] = {}
    for name, key, extension in parts:
        if key not in own:
            # what is before the extension belongs to the key
            extension = extension[-len(ending(extension)) :]
            key = name[: -len(extension) - 1]
        groups.setdefault(key, {})[extension] = name
    return {key: dict(sorted(group.items(), key=lambda file: "." in file[0])) for key, group in groups.items()}


def escaped(key: str) -> str:
    """Key of a sample in an archive, where a key ends at its first dot.

    >>> escaped("a.b/cat.0"), restored("a.b/cat%2E0")
    ('a.b/cat%2E0', 'a.b/cat.0')
    """
    folder, slash, last = key.rpartition("/")
    return folder + slash + last.replace("%", "%25").replace(".", "%2E")


def restored(key: str) -> str:
    """What `escaped` made a key of."""
    folder, slash, last = key.rpartition("/")
    return folder + slash + last.replace("%2E", ".").replace("%25", "%")


def _in_archives(paths: Sequence[Path]) -> Iterator[Found]:
    keys: set[str] = set()
    for path in paths:
        for key, members in _groups(path):
            if key in keys:
                raise FujimiError(
                    f"{path} has sample {key!r} a second time: files of a sample follow each other (tar --sort=name), "
                    "and samples need names of their own"
                )
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
                file = member.name.removeprefix("./")
                if member.isdir() or file.rpartition("/")[2].startswith((".", "__")):
                    continue
                name, extension = split(file)
                if what := _why_not(member, extension):
                    raise FujimiError(f"{path}: {member.name} {what}")
                if name != key:
                    if key is not None:
                        yield key, members
                    key, members = name, {}
                if extension in members:
                    raise FujimiError(f"{path} has {member.name} twice: samples need names of their own")
                members[extension] = member
            _check_end(path, archive.offset)
    except (OSError, tarfile.TarError) as wrong:
        raise FujimiError(f"{path} cannot be read as an uncompressed tar archive: {wrong}") from None
    if key is not None:
        yield key, members


def _why_not(member: tarfile.TarInfo, extension: str) -> str:
    """Why a member cannot be packed, if it cannot."""
    if not member.isfile():
        return "is a link or no file: unpack the archive, and make another one of the files"
    if member.issparse():
        return "is stored without its zeros (a sparse file): make the archive without --sparse"
    if not extension:
        return "has no extension: what it is cannot be told; rename it, or leave it out"
    return ""


def _check_end(path: Path, offset: int) -> None:
    """Make sure that an archive ends where its reader stopped: tarfile takes a damaged header for the end."""
    with path.open("rb") as file:
        file.seek(offset)
        block = file.read(tar.BLOCK)
        joined = any(any(more) for more in iter(partial(file.read, 2**20), b""))
    if len(block) < tar.BLOCK:
        raise FujimiError(
            f"{path} ends at byte {offset + len(block)} without the zeros of an archive's end: it was cut"
        )
    if any(block):
        raise FujimiError(f"{path}: no header at byte {offset}: the archive is damaged")
    if joined:
        raise FujimiError(f"{path}: more follows after the archive's end at byte {offset}: pack joined ones one by one")


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
