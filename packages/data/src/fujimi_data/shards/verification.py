"""Reads all of a dataset and lists what is wrong with it."""

from collections.abc import Iterator
from pathlib import Path

from fujimi_data.errors import Damage, ShardError
from fujimi_data.shards import index
from fujimi_data.shards.checksum import digits
from fujimi_data.shards.manifest import FILE, INDEX_FILE, Manifest, load_complete
from fujimi_data.shards.shard import Shard


def damages(directory: Path) -> Iterator[Damage]:
    """Check every byte of every file against its checksum.

    Args:
        directory: Of the dataset.

    Yields:
        What is wrong, in order of place: samples, or shards of which nothing can be read.

    Raises:
        ShardError: If the directory is no dataset, or is not finished.
    """
    manifest = load_complete(directory / FILE)
    yield from _damages_of_tables(directory / INDEX_FILE, manifest)
    for entry in manifest.shards:
        path = directory / entry.name
        try:
            shard = Shard(path, recipe=manifest.origin.digest)
            entry.check_length(path, shard.nbytes)
            if shard.entry != entry:
                checksums = f"its index has checksum {shard.footer.checksum}, the dataset says {entry.checksum}"
                raise ShardError(Damage(shard=str(path), what=f"was replaced: {checksums}"))
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


def _damages_of_tables(path: Path, manifest: Manifest) -> Iterator[Damage]:
    """Check the copy of all shards' tables; shards have what is wrong with it themselves."""
    try:
        content = path.read_bytes()
    except OSError as wrong:
        yield Damage(shard=str(path), what=f"cannot be read: {wrong.strerror}")
        return
    row_nbytes = index.row_type(manifest.origin.label_nbytes).itemsize
    place = 0
    for entry in manifest.shards:
        table = content[place : place + (entry.samples + 1) * row_nbytes]
        if digits(table) != entry.table:
            yield Damage(
                shard=str(path), offset=place, what=f"the checksum of the table of {entry.name} does not match"
            )
        place += (entry.samples + 1) * row_nbytes
    if len(content) > place:
        yield Damage(shard=str(path), offset=place, what="has more than the tables of the shards")
