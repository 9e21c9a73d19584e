"""Index of a shard: its last member, with place, label and checksum of each sample.

The member ``__index__`` holds a table (little-endian, one row a sample and one for the end of the last), the samples'
keys (compressed), zeros up to a whole block, and a footer of one block: JSON that describes them, spaces, and 8
hexadecimal digits, the CRC-32C of the whole member up to them. It is found from the end of the file: footer, then two
blocks of zeros, which end the archive. So each byte of a shard is either in a sample or in the index, and both have
checksums.
"""

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fujimi_data.errors import Damage, ShardError
from fujimi_data.shards import tar
from fujimi_data.shards.checksum import digits
from fujimi_data.shards.sample import SampleEntry

#: Name of the member; webdataset skips names like it.
MEMBER = "__index__"
#: What `read_footer` reads of a file: footer and end.
TAIL_NBYTES = tar.BLOCK + len(tar.END)
#: Bytes that a label may take: none, or as many as the largest needs.
LABEL_NBYTES = (0, 1, 2, 4)
_FORMAT = "fujimi-shard"
_VERSION = 2
_DIGITS = 8

Rows = np.ndarray[Any, np.dtype[np.void]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    """What the end of a shard says of it.

    Args:
        samples: How many.
        label_nbytes: Of the label in a row of the table; 0 if samples have none.
        keys_nbytes: Of the keys, compressed.
        index_offset: Where the index begins [B].
        recipe: Digest of what the dataset is made of that the shard belongs to.
        checksum: Of the index; as the index has the samples' checksums, it stands for the whole shard.
    """

    samples: int
    label_nbytes: int
    keys_nbytes: int
    index_offset: int
    recipe: str
    checksum: str

    @property
    def table_nbytes(self) -> int:
        """Length of the table."""
        return (self.samples + 1) * row_type(self.label_nbytes).itemsize


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShardIndex:
    """Where samples lie.

    Args:
        rows: ``offset`` [blocks], ``crc32c`` and, if samples have labels, ``label``; one row more than samples.
        keys: Of each sample.
    """

    rows: Rows
    keys: Sequence[str]


def row_type(label_nbytes: int) -> np.dtype[np.void]:
    """Type of a row of the table."""
    label = [("label", f"<u{label_nbytes}")] if label_nbytes else []
    return np.dtype([("offset", "<u4"), ("crc32c", "<u4"), *label])


def label_nbytes(largest: int) -> int:
    """Bytes that labels from 0 to ``largest`` take.

    >>> label_nbytes(255), label_nbytes(20_999)
    (1, 2)
    """
    return next(nbytes for nbytes in LABEL_NBYTES[1:] if largest < 1 << 8 * nbytes)


def encode(samples: Sequence[SampleEntry], *, recipe: str, label_nbytes: int) -> tuple[bytes, bytes]:
    """End of a shard: index and end of archive.

    Returns:
        The bytes, and the table in them.

    Raises:
        ValueError: If a key has a newline, or a label or the shard is too large.
    """
    rows = _rows(samples, label_nbytes)
    table = rows.tobytes()
    keys = zlib.compress("\n".join(sample.key for sample in samples).encode(errors="surrogateescape"))
    content = table + keys + bytes(tar.padding(len(table) + len(keys)))
    offset = int(rows["offset"][-1]) * tar.BLOCK
    head = tar.header(MEMBER, len(content) + tar.BLOCK)
    shown = {
        "format": _FORMAT,
        "version": _VERSION,
        "samples": len(samples),
        "shard_nbytes": offset + len(head) + len(content) + tar.BLOCK + len(tar.END),
        "index_offset": offset,
        "label_nbytes": label_nbytes,
        "keys_nbytes": len(keys),
        "recipe": recipe,
    }
    index = head + content + json.dumps(shown).encode().ljust(tar.BLOCK - _DIGITS)
    return index + digits(index).encode() + tar.END, table


def read_footer(tail: bytes, *, shard: str, nbytes: int) -> Footer:
    """Read the end of a shard; that its checksum is right is only known after `decode`.

    Args:
        tail: Last ``TAIL_NBYTES`` of the file.
        shard: Its path, for messages.
        nbytes: Its length.

    Raises:
        ShardError: If the file does not end as a shard does.
    """
    try:
        shown = json.loads(tail[: tar.BLOCK - _DIGITS])
        known = shown["format"] == _FORMAT
        version = int(shown["version"])
        footer = _footer(shown, tail) if version == _VERSION else None
        whole = footer is not None and nbytes == shown["shard_nbytes"] and 0 < footer.index_offset < nbytes
    except (ValueError, TypeError, KeyError):
        known, version, footer, whole = False, 0, None, False
    what = ""
    if not known:
        what = "no index at the end: the file was cut or damaged, or is no shard"
    elif footer is None:
        what = f"written in version {version} of the format; this program reads version {_VERSION}"
    elif not whole:
        what = f"the index is for a file of {shown['shard_nbytes']} bytes, this one has {nbytes}"
    if what or footer is None:
        raise ShardError(Damage(shard=shard, offset=max(0, nbytes - TAIL_NBYTES), what=what))
    return footer


def decode(content: bytes, *, footer: Footer, shard: str) -> ShardIndex:
    """Read an index.

    Args:
        content: The file from where the index begins to the end.
        footer: What the end says.
        shard: Path, for messages.

    Raises:
        ShardError: If a bit of it is wrong.
    """
    end = len(content) - len(tar.END)
    checked, written = content[: end - _DIGITS], content[end - _DIGITS : end]
    if written != digits(checked).encode() or content[end:] != tar.END:
        what = "the checksum of the index does not match"
        raise ShardError(Damage(shard=shard, offset=footer.index_offset, what=what))
    kind = row_type(footer.label_nbytes)
    rows = np.frombuffer(content, dtype=kind, count=footer.samples + 1, offset=tar.BLOCK)
    keys = content[tar.BLOCK + footer.table_nbytes :][: footer.keys_nbytes]
    return ShardIndex(rows=rows, keys=zlib.decompress(keys).decode(errors="surrogateescape").split("\n"))


def _rows(samples: Sequence[SampleEntry], label_nbytes: int) -> Rows:
    for sample in samples:
        if "\n" in sample.key:
            raise ValueError(f"sample {sample.key!r}: a key is one line")
    ends = np.cumsum([0, *(sample.nbytes // tar.BLOCK for sample in samples)], dtype=np.uint64)
    if ends[-1] >= 2**32:
        raise ValueError("a shard has less than 2 TiB: take fewer samples for each")
    rows = np.zeros(len(samples) + 1, dtype=row_type(label_nbytes))
    rows["offset"] = ends
    rows["crc32c"][:-1] = [sample.checksum for sample in samples]
    if label_nbytes:
        labels = np.array([sample.label for sample in samples], dtype=np.int64)
        if len(labels) and not 0 <= labels.min() <= labels.max() < 1 << 8 * label_nbytes:
            raise ValueError(f"labels from {labels.min()} to {labels.max()}; {label_nbytes} byte(s) hold fewer")
        rows["label"][:-1] = labels
    return rows


def _footer(shown: dict[str, Any], tail: bytes) -> Footer:
    footer = Footer(
        samples=int(shown["samples"]),
        label_nbytes=int(shown["label_nbytes"]),
        keys_nbytes=int(shown["keys_nbytes"]),
        index_offset=int(shown["index_offset"]),
        recipe=str(shown["recipe"]),
        checksum=tail[tar.BLOCK - _DIGITS : tar.BLOCK].decode("ascii"),
    )
    if footer.label_nbytes not in LABEL_NBYTES or footer.samples < 1:
        raise ValueError
    return footer
