"""Writes one shard."""

from collections.abc import Iterable
from pathlib import Path

from fujimi_core.atomic import atomic_file

from fujimi_data import shard_index
from fujimi_data.manifest import ShardEntry
from fujimi_data.sample import SampleEntry


def write_shard(path: Path, samples: Iterable[tuple[SampleEntry, bytes]], *, recipe: str) -> ShardEntry:
    """Write samples and their index into a file that appears when it is whole.

    Args:
        path: Where.
        samples: At least one, as `fujimi_data.sample.encode` gives them.
        recipe: Digest of the dataset's recipe.

    Raises:
        RunError: If the disk is full or the file cannot be written.
        ValueError: If there are no samples.
    """
    entries: list[SampleEntry] = []
    nbytes = 0
    with atomic_file(path) as file:
        for entry, content in samples:
            file.write(content)
            nbytes += len(content)
            entries.append(entry)
        if not entries:
            raise ValueError(f"{path}: a shard has at least one sample")
        end, checksum = shard_index.encode(entries, recipe=recipe)
        file.write(end)
    return ShardEntry(name=path.name, samples=len(entries), nbytes=nbytes + len(end), checksum=checksum)
