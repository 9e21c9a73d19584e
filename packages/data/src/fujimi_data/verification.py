"""Reads all of a dataset and lists what is wrong with it."""

from collections.abc import Iterator
from pathlib import Path

from fujimi_data.errors import Damage, ShardError
from fujimi_data.manifest import load_complete
from fujimi_data.shard import Shard


def damages(directory: Path) -> Iterator[Damage]:
    """Check every byte of every shard against its checksum.

    Args:
        directory: Of the dataset.

    Yields:
        What is wrong, in order of place: samples, or shards of which nothing can be read.

    Raises:
        ShardError: If the directory is no dataset, or is not finished.
    """
    manifest = load_complete(directory)
    for entry in manifest.shards:
        try:
            shard = Shard(directory / entry.name, recipe=manifest.recipe.digest, entry=entry)
        except ShardError as wrong:
            yield wrong.damage
        else:
            yield from damages_of(shard)


def damages_of(shard: Shard) -> Iterator[Damage]:
    """Check every sample of an open shard, and close it."""
    try:
        for number in range(len(shard)):
            try:
                shard.read_bytes(number)
            except ShardError as wrong:
                yield wrong.damage
    finally:
        shard.close()
