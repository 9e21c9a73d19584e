"""What all that make a dataset do: claim a directory, keep what is whole."""

import os
from collections.abc import Sequence
from pathlib import Path

from fujimi_core.errors import FujimiError
from fujimi_core.records import to_table

from fujimi_data.errors import ShardError
from fujimi_data.shards.manifest import FILE, INDEX_FILE, Manifest, load, save, shard_name
from fujimi_data.shards.shard import Shard
from fujimi_data.shards.verification import damages_of


def make_directory(out: Path) -> None:
    """Make a directory, unless it is there.

    Raises:
        FujimiError: If it cannot be made, or not be written into.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as wrong:
        reason = "it is a file" if isinstance(wrong, FileExistsError) else wrong.strerror
        raise FujimiError(f"cannot make the directory {out}: {reason}") from None
    if not os.access(out, os.W_OK | os.X_OK):
        raise FujimiError(f"cannot write into {out}: Permission denied")


def claim(out: Path, manifest: Manifest, *, shards: int = 0, writer: str = "") -> None:
    """Make sure that a directory is for a dataset, and write there what it is made of.

    Args:
        out: The directory.
        manifest: Of the dataset, without shards.
        shards: Of it that may be there already, since other processes make the same dataset.
        writer: Tells these apart.

    Raises:
        FujimiError: If the directory holds something else.
    """
    if (out / FILE).exists():
        there, wanted = to_table(load(out / FILE).origin), to_table(manifest.origin)
        different = [f"{key} {there.get(key)} (not {wanted[key]})" for key in wanted if there.get(key) != wanted[key]]
        if different:
            raise FujimiError(f"{out} holds another dataset, with {', '.join(different)}: choose another directory")
        return
    ours = {FILE, INDEX_FILE, *map(shard_name, range(shards))} if shards else set()
    others = sorted(path.name for path in out.iterdir() if not path.name.startswith(".") and path.name not in ours)
    if others:
        raise FujimiError(f"{out} holds other files, for example {others[0]}: choose an empty or new directory")
    save(manifest, out, writer=writer)


def is_whole(path: Path, recipe: str, keys: Sequence[str]) -> bool:
    """Whether a shard of some samples lies there already, and each of its bytes is right."""
    if not path.exists():
        return False
    try:
        shard = Shard(path, recipe=recipe)
        there = list(shard.index.keys)
    except ShardError:
        return False
    return there == list(keys) and not any(damages_of(shard))
