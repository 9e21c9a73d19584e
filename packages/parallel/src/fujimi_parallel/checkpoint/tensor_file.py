"""Safetensors files with a checksum for each chunk of a tensor."""

import json
import math
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import torch
from fujimi_core.atomic import atomic_file
from fujimi_core.errors import RunError
from numpy.typing import NDArray

from fujimi_parallel.checkpoint.parts import Runs

#: Content under one checksum [B], which is also what one read or write moves.
CHUNK_NBYTES = 2**20
#: Names of types in the format.
DTYPES = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "U16": torch.uint16,
    "I16": torch.int16,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "U32": torch.uint32,
    "I32": torch.int32,
    "F32": torch.float32,
    "U64": torch.uint64,
    "I64": torch.int64,
    "F64": torch.float64,
}
DTYPE_NAMES = {dtype: name for name, dtype in DTYPES.items()}
_CHECKSUMS = "crc32c"
_OWN_CHECKSUM = "crc32c of the header"
_BLANK = "0" * 8
_LENGTH = struct.Struct("<Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A tensor to be written."""

    key: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.dtype not in DTYPE_NAMES:
            raise ValueError(f"{self.key}: safetensors has no {self.dtype}")

    @property
    def nbytes(self) -> int:
        """Bytes of the content."""
        return math.prod(self.shape) * self.dtype.itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A tensor in a file.

    Args:
        path: The file.
        key: Of the tensor, for messages.
        dtype: Of its elements.
        offset: Of its content in the file [B].
        nbytes: Of its content.
        checksums: CRC-32C of each chunk.
    """

    path: Path
    key: str
    dtype: torch.dtype
    offset: int
    nbytes: int
    checksums: NDArray[np.uint32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a file says of itself: its tensors by key, and texts by name."""

    tensors: Mapping[str, Stored]
    about: Mapping[str, str]


def checksum(content: bytes) -> int:
    """CRC-32C of bytes, for which processors have an instruction: three times as fast as `zlib.crc32`."""
    return int(google_crc32c.value(content))


def chunks(nbytes: int) -> int:
    """Number of chunks of so many bytes."""
    return -(-nbytes // CHUNK_NBYTES)


def write(path: Path, entries: Sequence[Entry], tensors: Iterable[torch.Tensor], *, about: Mapping[str, str]) -> str:
    """Write a file, whole and on disk or not at all.

    Args:
        path: Of the file; one that is there is replaced.
        entries: What the tensors are.
        tensors: One-dimensional, on the CPU; taken one by one.
        about: Texts for the header.

    Returns:
        Checksum of the header, and by way of the checksums in it of the whole file.

    Raises:
        RunError: If it cannot be written.
    """
    checksums = {entry.key: [0] * chunks(entry.nbytes) for entry in entries}
    with atomic_file(path) as file:
        file.write(_header(entries, checksums, about))  # leaves room for the checksums, which come last
        for entry, tensor in zip(entries, tensors, strict=True):
            checksums[entry.key].clear()
            for content in _chunks_of(tensor):
                checksums[entry.key].append(checksum(content))
                file.write(content)
        header = _header(entries, checksums, about)
        own = f"{checksum(header):08x}"
        file.seek(0)
        file.write(header.replace(_BLANK.encode(), own.encode(), 1))
    return own


def _chunks_of(tensor: torch.Tensor) -> Iterator[bytes]:
    content = bytes_of(tensor)
    return (bytes(content[begin : begin + CHUNK_NBYTES]) for begin in range(0, len(content), CHUNK_NBYTES))


def bytes_of(tensor: torch.Tensor) -> memoryview:
    """The memory of a one-dimensional tensor."""
    if not tensor.numel():
        return memoryview(b"")  # of which torch may not know how it would lie in memory
    return tensor.view(torch.uint8).numpy().data


def _header(entries: Sequence[Entry], checksums: Mapping[str, Sequence[int]], about: Mapping[str, str]) -> bytes:
    digits = {key: "".join(f"{each:08x}" for each in numbers) for key, numbers in checksums.items()}
    own = {_OWN_CHECKSUM: _BLANK}  # comes first, where it is easily filled in
    table: dict[str, object] = {"__metadata__": {**own, _CHECKSUMS: json.dumps(digits), **about}}
    begin = 0
    for entry in entries:
        end = begin + entry.nbytes
        table[entry.key] = {
            "dtype": DTYPE_NAMES[entry.dtype],
            "shape": entry.shape,
            "data_offsets": (begin, end),
        }
        begin = end
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return _LENGTH.pack(len(text)) + text


def read_header(path: Path, *, expected: str | None = None) -> Header:
    """Read what a file says of itself.

    Args:
        path: A file that `write` wrote.
        expected: What `write` returned, if this must be the same file.

    Raises:
        RunError: If it cannot be read, is damaged or is another than expected.
    """
    try:
        with path.open("rb") as file:
            length = file.read(_LENGTH.size)
            (nbytes,) = _LENGTH.unpack(length)
            if nbytes > os.fstat(file.fileno()).st_size:
                raise ValueError("it ends within its header")
            content = length + file.read(nbytes)
        table = json.loads(content[_LENGTH.size :])
        about = table.pop("__metadata__")
        own = about.pop(_OWN_CHECKSUM)
        if own != f"{checksum(content.replace(own.encode(), _BLANK.encode(), 1)):08x}":
            raise ValueError("its header is damaged")
        if own != (expected or own):
            raise ValueError("it is of another run")
        digits = json.loads(about.pop(_CHECKSUMS))
        tensors = {key: _stored(path, key, entry, digits[key], len(content)) for key, entry in table.items()}
        return Header(tensors=tensors, about=about)
    except (OSError, struct.error, ValueError, LookupError, TypeError, AttributeError) as wrong:
        raise RunError(f"cannot read {path}: {wrong}") from wrong


def _stored(path: Path, key: str, entry: Mapping[str, Any], digits: str, data_at: int) -> Stored:
    begin, end = entry["data_offsets"]
    return Stored(
        path=path,
        key=key,
        dtype=DTYPES[entry["dtype"]],
        offset=data_at + begin,
        nbytes=end - begin,
        checksums=np.frombuffer(bytes.fromhex(digits), dtype=">u4").astype(np.uint32),
    )


def read(stored: Stored) -> torch.Tensor:
    """Read all of a tensor, as one dimension.

    Raises:
        RunError: As `copy`.
    """
    tensor = torch.empty(stored.nbytes // stored.dtype.itemsize, dtype=stored.dtype)
    everything = Runs(target=np.array([0]), source=np.array([0]), length=np.array([stored.nbytes]))
    copy(stored, everything, bytes_of(tensor))
    return tensor


def copy(stored: Stored, runs: Runs, target: memoryview) -> None:
    """Copy bytes of a stored tensor, after checking the chunks that they lie in.

    Raises:
        RunError: If the file is missing, cut off or damaged, or is another one; names it and the tensor.
    """
    try:
        with stored.path.open("rb", buffering=0) as file:
            for chunk, within in _by_chunk(runs):
                content = memoryview(_chunk(file.fileno(), stored, chunk))
                for to, begin, nbytes in zip(
                    within.target.tolist(), within.source.tolist(), within.length.tolist(), strict=True
                ):
                    target[to : to + nbytes] = content[begin : begin + nbytes]
    except OSError as wrong:
        raise RunError(f"cannot read {stored.key} from {stored.path}: {wrong.strerror}") from wrong


def _chunk(file: int, stored: Stored, chunk: int) -> bytes:
    begin = chunk * CHUNK_NBYTES
    nbytes = min(CHUNK_NBYTES, stored.nbytes - begin)
    content = os.pread(file, nbytes, stored.offset + begin)
    if len(content) < nbytes:
        raise RunError(f"{stored.path} is cut off: it ends within {stored.key}")
    if checksum(content) != stored.checksums[chunk]:
        raise RunError(f"{stored.path} is damaged, or of another run: {stored.key} is not what was written")
    return content


def _by_chunk(runs: Runs) -> Iterator[tuple[int, Runs]]:
    """Cut runs at the borders of the source's chunks; their sources then count from the chunk's begin."""
    ends = runs.source + runs.length
    for chunk in range(int(runs.source[0]) // CHUNK_NBYTES, chunks(int(ends[-1]))):
        low, high = chunk * CHUNK_NBYTES, (chunk + 1) * CHUNK_NBYTES
        some = slice(np.searchsorted(ends, low, "right"), np.searchsorted(runs.source, high, "left"))
        source = runs.source[some]
        begin, end = np.maximum(source, low), np.minimum(ends[some], high)
        if len(source):
            yield chunk, Runs(target=runs.target[some] + begin - source, source=begin - low, length=end - begin)
