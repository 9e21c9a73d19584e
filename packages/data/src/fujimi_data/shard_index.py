"""Index of a shard: its last member, with place and checksum of each sample.

The member ``__index__`` holds a table (little-endian, one row a sample), zeros up to a whole block, and a footer of
one block: JSON that describes the table, spaces, and 8 hexadecimal digits, the CRC-32C of the whole member up to them.
It is found from the end of the file: footer, then two blocks of zeros, which end the archive. So each byte of a shard
is either in a sample or in the index, and both have checksums.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fujimi_data import tar
from fujimi_data.checksum import crc32c
from fujimi_data.errors import Damage, ShardError
from fujimi_data.sample import SampleEntry

#: Name of the member; webdataset skips names like it.
MEMBER = "__index__"
#: What `offset_of` reads of a file: footer and end.
TAIL_NBYTES = tar.BLOCK + len(tar.END)
_FORMAT = "fujimi-shard"
_VERSION = 1
_DIGITS = 8


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShardIndex:
    """Where samples lie.

    Args:
        rows: ``key``, ``offset`` [B], ``nbytes``, ``picture_nbytes``, ``label`` and ``crc32c`` of each sample.
        recipe: Digest of the recipe of the dataset that the shard belongs to.
        checksum: Of the index; as the index has the samples' checksums, it stands for the whole shard.
    """

    rows: np.ndarray[Any, np.dtype[np.void]]
    recipe: str
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Footer:
    """What the footer says, checked as far as possible before the checksum is known."""

    samples: int
    index_offset: int
    fields: list[tuple[str, str]]
    recipe: str


def encode(samples: Sequence[SampleEntry], *, recipe: str) -> tuple[bytes, str]:
    """End of a shard: index and end of archive.

    Returns:
        The bytes, and the checksum of the index.
    """
    rows = _rows(samples)
    table = rows.tobytes()
    table += bytes(tar.padding(len(table)))
    offset = int(rows["nbytes"].sum())
    head = tar.header(MEMBER, len(table) + tar.BLOCK)
    shown = {
        "format": _FORMAT,
        "version": _VERSION,
        "samples": len(rows),
        "shard_nbytes": offset + len(head) + len(table) + tar.BLOCK + len(tar.END),
        "index_offset": offset,
        "fields": rows.dtype.descr,
        "recipe": recipe,
    }
    footer = json.dumps(shown).encode().ljust(tar.BLOCK - _DIGITS)
    content = head + table + footer
    checksum = f"{crc32c(content):0{_DIGITS}x}"
    return content + checksum.encode() + tar.END, checksum


def offset_of(tail: bytes, *, shard: str, nbytes: int) -> int:
    """Where the index begins.

    Args:
        tail: Last ``TAIL_NBYTES`` of the file.
        shard: Its path, for messages.
        nbytes: Its length.

    Raises:
        ShardError: If the file does not end as a shard does.
    """
    return _footer(tail, shard=shard, nbytes=nbytes).index_offset


def decode(content: bytes, *, shard: str, offset: int) -> ShardIndex:
    """Read an index.

    Args:
        content: The file from where the index begins to the end.
        shard: Path, for messages.
        offset: Where the index begins.

    Raises:
        ShardError: If a bit of it is wrong.
    """
    footer = _footer(content[-TAIL_NBYTES:], shard=shard, nbytes=offset + len(content))
    checked, digits = content[: -len(tar.END) - _DIGITS], content[-len(tar.END) - _DIGITS : -len(tar.END)]
    checksum = f"{crc32c(checked):0{_DIGITS}x}"
    if digits != checksum.encode() or content[-len(tar.END) :] != tar.END:
        raise ShardError(Damage(shard=shard, offset=offset, what="the checksum of the index does not match"))
    rows = np.frombuffer(content, dtype=footer.fields, count=footer.samples, offset=tar.BLOCK)
    return ShardIndex(rows=rows, recipe=footer.recipe, checksum=checksum)


def _rows(samples: Sequence[SampleEntry]) -> np.ndarray[Any, np.dtype[np.void]]:
    keys = np.array([sample.key.encode() for sample in samples], dtype=np.bytes_)
    fields = [("key", keys.dtype.str), ("offset", "<u8")]
    fields += [(name, "<u4") for name in ("nbytes", "picture_nbytes", "label", "crc32c")]
    rows = np.empty(len(samples), dtype=fields)
    rows["key"] = keys
    rows["nbytes"] = [sample.nbytes for sample in samples]
    rows["offset"] = np.cumsum(rows["nbytes"], dtype=np.uint64) - rows["nbytes"]
    rows["picture_nbytes"] = [sample.picture_nbytes for sample in samples]
    rows["label"] = [sample.label for sample in samples]
    rows["crc32c"] = [sample.checksum for sample in samples]
    return rows


def _footer(tail: bytes, *, shard: str, nbytes: int) -> _Footer:
    try:
        shown = json.loads(tail[: tar.BLOCK - _DIGITS])
        known = shown["format"] == _FORMAT
        version = int(shown["version"])
        footer = _Footer(
            samples=int(shown["samples"]),
            index_offset=int(shown["index_offset"]),
            fields=[(str(name), str(kind)) for name, kind in shown["fields"]],
            recipe=str(shown["recipe"]),
        )
        whole = nbytes == shown["shard_nbytes"] and 0 < footer.index_offset < nbytes - TAIL_NBYTES
    except (ValueError, TypeError, KeyError):
        known, version, whole = False, 0, False
    what = ""
    if not known:
        what = "no index at the end: the file was cut or damaged, or is no shard"
    elif version != _VERSION:
        what = f"written in version {version} of the format; this program reads version {_VERSION}"
    elif not whole:
        what = f"the index is for a file of {shown['shard_nbytes']} bytes, this one has {nbytes}"
    if what:
        raise ShardError(Damage(shard=shard, offset=max(0, nbytes - TAIL_NBYTES), what=what))
    return footer
