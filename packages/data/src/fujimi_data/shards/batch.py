"""Reads many samples in one call, without the interpreter."""

from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from fujimi_data.compiled import compiled
from fujimi_data.shards.crc import crc32c_words

#: What became of a piece: it is as it was written, its file ends before it does, reading failed, or a bit is wrong.
INTACT, CUT, FAILED, CHANGED = range(4)
# Samples whose reading the kernel is asked to begin before they are read: hides the latency of a disk.
_AHEAD = 64
_WILL_NEED = 3

_pread: Any = types.ExternalFunction("pread", types.intp(types.intc, types.uintp, types.uintp, types.int64))
_advise: Any = types.ExternalFunction("posix_fadvise", types.intc(types.intc, types.int64, types.int64, types.intc))


@compiled
def read_pieces(
    descriptors: NDArray[np.int32],
    offsets: NDArray[np.int64],
    starts: NDArray[np.int64],
    content: NDArray[np.uint8],
    checksums: NDArray[np.uint32],
    outcomes: NDArray[np.int32],
    look_ahead: bool,
) -> None:
    """Read one piece from each of some files, one after the other into ``content``, and check it.

    Args:
        descriptors: Of the files, shape (pieces,); below 0 what cannot be read, whose outcome stays as it is.
        offsets: Where a piece begins in its file [B], shape (pieces,).
        starts: Where each is put, and the end of the last [B], shape (pieces + 1,).
        content: What is read.
        checksums: CRC-32C of each piece, which then is of whole words of eight bytes, shape (pieces,); empty if nobody
            knows.
        outcomes: Becomes INTACT, CUT, FAILED or CHANGED for each, shape (pieces,).
        look_ahead: Whether to ask for the next pieces before they are read, for files that are not in memory.
    """
    count = len(offsets)
    if look_ahead:
        for i in range(min(_AHEAD, count)):
            _advise(descriptors[i], offsets[i], starts[i + 1] - starts[i], _WILL_NEED)
    for i in range(count):
        if look_ahead and i + _AHEAD < count:
            j = i + _AHEAD
            _advise(descriptors[j], offsets[j], starts[j + 1] - starts[j], _WILL_NEED)
        if descriptors[i] < 0:
            continue
        piece = content[starts[i] : starts[i + 1]]
        if len(checksums):
            outcomes[i] = _read_and_check(descriptors[i], offsets[i], piece, checksums[i])
        else:
            outcomes[i] = _read(descriptors[i], offsets[i], piece)


@compiled
def _read_and_check(descriptor: int, offset: int, piece: NDArray[np.uint8], checksum: np.uint32) -> int:
    outcome = _read(descriptor, offset, piece)
    # at once, while the processor's cache still has it
    return CHANGED if outcome == INTACT and crc32c_words(piece.view(np.uint64)) != checksum else outcome


@compiled
def _read(descriptor: int, offset: int, piece: NDArray[np.uint8]) -> int:
    done = 0
    while done < len(piece):
        got = _pread(descriptor, piece.ctypes.data + done, len(piece) - done, offset + done)
        if got == 0:
            return CUT
        if got < 0:
            return FAILED
        done += got
    return INTACT
