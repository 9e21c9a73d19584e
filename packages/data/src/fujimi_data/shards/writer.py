"""Writes shards, and the file that has the tables of all of them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from fujimi_core.atomic import atomic_file

from fujimi_data.shards import index
from fujimi_data.shards.checksum import digits
from fujimi_data.shards.manifest import INDEX_FILE, ShardEntry
from fujimi_data.shards.sample import SampleEntry
from fujimi_data.shards.shard import Shard

Encoded = tuple[SampleEntry, bytes]


def write_shard(
    path: Path, samples: Iterable[Encoded], *, recipe: str, label_nbytes: int, writer: str = ""
) -> ShardEntry:
    """Write samples and their index into a file that appears when it is whole.

    Args:
        path: Where.
        samples: At least one, as `fujimi_data.shards.sample.encode` gives them.
        recipe: Digest of what the dataset is made of.
        label_nbytes: Of a label in the index; 0 if samples have none.
        writer: Tells apart processes that write the same file at the same time.

    Raises:
        RunError: If the disk is full or the file cannot be written.
        ValueError: If there are no samples, or the index cannot hold one.
    """
    entries: list[SampleEntry] = []
    nbytes = 0
    with atomic_file(path, writer=writer) as file:
        for entry, content in samples:
            file.write(content)
            nbytes += len(content)
            entries.append(entry)
        if not entries:
            raise ValueError(f"{path}: a shard has at least one sample")
        end, table = index.encode(entries, recipe=recipe, label_nbytes=label_nbytes)
        file.write(end)
    footer = index.read_footer(end[-index.TAIL_NBYTES :], shard=str(path), nbytes=nbytes + len(end))
    return ShardEntry(
        name=path.name,
        samples=len(entries),
        nbytes=nbytes + len(end),
        checksum=footer.checksum,
        table=digits(table),
    )


def write_tables(paths: Sequence[Path], directory: Path, *, recipe: str, writer: str = "") -> tuple[ShardEntry, ...]:
    """Write the file of a dataset that has the tables of its shards' indices, so that one file is opened for all.

    Args:
        paths: Of the shards, in order.
        directory: Of the dataset.
        recipe: Digest of what it is made of.
        writer: Tells apart processes that write the same file at the same time.

    Returns:
        What the dataset says of each shard.

    Raises:
        ShardError: If a shard is damaged or another dataset's.
        RunError: If the file cannot be written.
    """
    entries = []
    with atomic_file(directory / INDEX_FILE, writer=writer) as file:
        for path in paths:
            shard = Shard(path, recipe=recipe)
            file.write(shard.index.rows.tobytes())
            entries.append(shard.entry)
            shard.close()
    return tuple(entries)
