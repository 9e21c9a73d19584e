"""Where checkpoints lie, and which of them are whole."""

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeAlias

from fujimi_core.atomic import sync_directory
from fujimi_core.errors import RunError

from fujimi_parallel.checkpoint.tensor_file import checksum

JSON: TypeAlias = "bool | int | float | str | Sequence[JSON] | Mapping[str, JSON] | None"
_VERSION = 1
_MANIFEST = "manifest.json"
#: Suffix of what is not whole yet.
_PARTIAL = ".partial"
# the number of the save follows where the step was saved before
_NAME = re.compile(r"step-\d{8,}(\.\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is said of a checkpoint as a whole; with it on disk, a checkpoint is complete.

    Args:
        step: Steps that were done.
        save: Counts the checkpoints of a directory; a step may come twice, after a rollback.
        ranks: How many wrote it.
        index: Checksum of the index's header.
        info: What the run wants to find again.
        version: Of the format.
    """

    step: int
    save: int
    ranks: int
    index: str
    info: dict[str, JSON]
    version: int = _VERSION


def partial(directory: Path, step: int) -> Path:
    """Where the ranks write a checkpoint that is not complete."""
    return directory / f"step-{step:08d}{_PARTIAL}"


def rank_file(checkpoint: Path, rank: int) -> Path:
    """What one rank wrote of a checkpoint."""
    return checkpoint / f"rank-{rank:06d}.safetensors"


def whole(directory: Path) -> list[Path]:
    """The complete checkpoints of a directory, in the order in which they were saved.

    Raises:
        RunError: If the manifest of one is missing or damaged.
    """
    return [path for path, _ in saved(directory)]


def newest(directory: Path) -> Path | None:
    """The complete checkpoint of a directory that was saved last, if there is one.

    Raises:
        RunError: As `whole`.
    """
    found = whole(directory)
    return found[-1] if found else None


def saved(directory: Path) -> list[tuple[Path, Manifest]]:
    """As `whole`, with their manifests."""
    if not directory.is_dir():
        return []
    paths = [path for path in directory.iterdir() if _NAME.fullmatch(path.name)]
    return sorted(((path, read_manifest(path)) for path in paths), key=lambda found: found[1].save)


def complete(path: Path, manifest: Manifest) -> Path:
    """Give a directory that all ranks have written to its manifest and its name.

    Returns:
        Its new path. The rename is the one moment at which the checkpoint comes into being.
    """
    content = asdict(manifest)
    with (path / _MANIFEST).open("w", encoding="utf-8") as file:
        json.dump({"checksum": _checksum(content), **content}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    sync_directory(path)
    name = f"step-{manifest.step:08d}"
    target = path.with_name(f"{name}.{manifest.save}" if path.with_name(name).exists() else name)
    path.rename(target)
    sync_directory(target.parent)
    return target


def read_manifest(path: Path) -> Manifest:
    """Read the manifest of a checkpoint.

    Raises:
        RunError: If it is missing, damaged or of another version.
    """
    try:
        content = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
        is_intact = content.pop("checksum") == _checksum(content)
        version = content["version"]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as wrong:
        raise RunError(f"cannot read the checkpoint {path}: {wrong}; remove it to go on without") from wrong
    if not is_intact:
        raise RunError(f"{path / _MANIFEST} is damaged; remove the checkpoint {path} to go on without")
    if version != _VERSION:
        raise RunError(
            f"the checkpoint {path} has format {version}, this program reads {_VERSION}; use the one it is of"
        )
    return Manifest(**content)


def _checksum(content: Mapping[str, JSON]) -> int:
    return checksum(json.dumps(content, sort_keys=True).encode())


def remove(path: Path) -> None:
    """Remove a complete checkpoint; at no time is there half of it under its name."""
    going = path.with_name(f"{path.name}.old{_PARTIAL}")
    path.rename(going)
    shutil.rmtree(going)


def remove_leftovers(directory: Path, *, but: Path) -> None:
    """Remove what runs that were killed left incomplete, but for one such directory."""
    for path in directory.glob(f"step-*{_PARTIAL}"):
        if path != but:
            shutil.rmtree(path)
