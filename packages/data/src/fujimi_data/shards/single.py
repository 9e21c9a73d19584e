"""Reads one sample with as little ado as possible."""

import os
from struct import Struct
from struct import error as StructError

from fujimi_data.shards import tar
from fujimi_data.shards.checksum import crc32c
from fujimi_data.shards.files import OpenShard, ShardFiles

# Two rows of a table, by what a row takes.
_ROWS = {8: Struct("<IIII"), 9: Struct("<IIBIIB"), 10: Struct("<IIHIIH"), 12: Struct("<IIIIII")}


def read_one(files: ShardFiles, shard: OpenShard, position: int, number: int) -> tuple[bytes, int | None] | None:
    """Read and check a sample.

    Args:
        files: Of the dataset.
        shard: The sample's, open.
        position: Of the shard.
        number: Of the sample in the dataset.

    Returns:
        Its bytes and its label, None where samples have none; None if anything is in the way, which
        `fujimi_data.shards.reading.read_pieces` names.
    """
    if shard.wrong is not None or shard.rows is not None or shard.lost:
        return None
    row_nbytes = files.row_type.itemsize
    place = (number + position) * row_nbytes
    try:
        if files.kept_rows is not None:
            rows = _ROWS[row_nbytes].unpack_from(files.kept_rows.data, place)
        else:
            rows = _ROWS[row_nbytes].unpack(os.pread(files.tables, 2 * row_nbytes, place))
        offset, nbytes = rows[0] * tar.BLOCK, (rows[len(rows) // 2] - rows[0]) * tar.BLOCK
        if not 0 < nbytes < shard.entry.nbytes:
            return None
        content = os.pread(shard.descriptor, nbytes, offset)
    except (OSError, StructError):
        return None
    if len(content) != nbytes or crc32c(content) != rows[1]:
        return None
    return content, rows[2] if files.labelled else None
