"""Reads the bytes of samples out of open shards, and says which are damaged."""

import os
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from fujimi_data.errors import Damage, ShardError
from fujimi_data.shards import batch, tar
from fujimi_data.shards.files import OpenShard, ShardFiles
from fujimi_data.shards.index import Rows
from fujimi_data.shards.pieces import Pieces
from fujimi_data.shards.shard import Shard


def read_pieces(
    files: ShardFiles,
    shards: Mapping[int, OpenShard],
    positions: NDArray[np.int64],
    numbers: NDArray[np.int64],
    *,
    look_ahead: bool,
) -> Pieces:
    """Read samples.

    Args:
        files: Of the dataset.
        shards: Those that the samples are in, open, in order of their positions.
        positions: Of each sample's shard.
        numbers: Of each sample in the dataset.
        look_ahead: Whether to ask the system for samples before they are read.
    """
    rows = _rows(files, shards, positions, numbers)
    offsets, ends = (rows["offset"].astype(np.int64) * tar.BLOCK).T
    # a row that changed after it was checked must not make us read without end
    sound = (offsets < ends) & (ends < files.nbytes[positions])
    opened = np.array(list(shards))
    descriptors = np.array([shard.descriptor for shard in shards.values()], dtype=np.int32)
    descriptors = descriptors[np.searchsorted(opened, positions)]
    descriptors[~sound] = -1
    starts = np.zeros(len(numbers) + 1, dtype=np.int64)
    np.cumsum(np.where(sound, ends - offsets, 0), out=starts[1:])
    content = np.empty(int(starts[-1]), dtype=np.uint8)
    outcomes = np.full(len(numbers), batch.FAILED, dtype=np.int32)
    batch.read_pieces(descriptors, offsets, starts, content, rows["crc32c"][:, 0].copy(), outcomes, look_ahead)
    labels = rows["label"][:, 0].astype(np.int64) if files.labelled else np.zeros_like(numbers)
    damages = {
        place: _damage(
            shards[int(positions[place])],
            int(numbers[place] - files.firsts[positions[place]]),
            int(offsets[place]),
            int(outcomes[place]),
        )
        for place in np.flatnonzero(outcomes).tolist()
    }
    return Pieces(content=content, starts=starts, labels=labels, damages=damages)


def _rows(
    files: ShardFiles, shards: Mapping[int, OpenShard], positions: NDArray[np.int64], numbers: NDArray[np.int64]
) -> Rows:
    """Row of each sample and the one after it, shape (samples, 2); zeros where there is none to be read."""
    others = [position for position, shard in shards.items() if shard.rows is not None or shard.lost]
    rows = _rows_of_tables(files, positions, numbers)
    for place in np.flatnonzero(np.isin(positions, others)).tolist() if others else ():
        shard = shards[int(positions[place])]
        number = int(numbers[place] - files.firsts[positions[place]])
        rows[place] = np.zeros(2, dtype=files.row_type) if shard.rows is None else shard.rows[number : number + 2]
    return rows


def _rows_of_tables(files: ShardFiles, positions: NDArray[np.int64], numbers: NDArray[np.int64]) -> Rows:
    """Rows as the tables of the dataset have them; zeros where there are none."""
    if files.kept_rows is not None:
        places = numbers + positions
        return np.stack([files.kept_rows[places], files.kept_rows[places + 1]], axis=1)
    nbytes = 2 * files.row_type.itemsize
    content = np.zeros((len(numbers), nbytes), dtype=np.uint8)
    batch.read_pieces(
        np.full(len(numbers), files.tables, dtype=np.int32),
        files.table_place(positions, numbers),
        np.arange(len(numbers) + 1, dtype=np.int64) * nbytes,
        content.reshape(-1),
        np.empty(0, dtype=np.uint32),
        np.empty(len(numbers), dtype=np.int32),
        False,
    )
    return content.view(files.row_type)


def _damage(shard: OpenShard, number: int, offset: int, outcome: int) -> Damage:
    """Word what is wrong with a sample."""
    key = _key(shard, number)
    if shard.descriptor < 0 or shard.lost:
        wrong = shard.wrong or Damage(shard=str(shard.path), what="its index cannot be read")
        return replace(wrong, sample=key)
    what = {
        batch.CUT: "the file ends before the sample does",
        batch.CHANGED: "the checksum of headers and content does not match",
        batch.FAILED: "cannot be read",
    }[outcome]
    if outcome == batch.FAILED:
        try:
            os.pread(shard.descriptor, 1, offset)
        except OSError as error:
            what = f"cannot be read: {error.strerror}"
    return Damage(shard=str(shard.path), sample=key, offset=offset, what=what)


def _key(shard: OpenShard, number: int) -> str:
    """Key of a sample, or its number in the shard if the keys cannot be read."""
    try:
        opened = Shard(shard.path)
    except ShardError:
        return f"number {number}"
    try:
        return opened.index.keys[number]
    except (ShardError, IndexError):
        return f"number {number}"
    finally:
        opened.close()
