"""DEFLATE that is quick to read: repeats of some length become matches, all else is stored as it is.

A decoder spends its time on symbols: a few nanoseconds for each literal, more where literals and matches alternate.
Here noise has no symbols, since DEFLATE can store a stretch of bytes (RFC 1951, section 3.2.4), and a repeat is coded
only where it saves eight bytes or more. What comes out is a stream as any other, which every decoder reads.
"""

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled

#: Shortest repeat that is coded as a match [B].
_MATCH_NBYTES = 8
#: Shortest stretch that is stored [B]: shorter ones cost less as literals, for storing takes a header of 5 bytes.
_STORED_NBYTES = 16
_MOST_STORED_NBYTES = 0xFFFF
_LONGEST_MATCH, _SHORTEST_MATCH, _WINDOW = 258, 3, 1 << 15
_HASH_BITS = 14
_HASH_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # 2^64 divided by the golden ratio (Knuth, vol. 3, section 6.4)
# kinds of blocks with the bit that says whether it is the last
_STORED, _FIXED, _LAST_FIXED = 0b000, 0b010, 0b011
# of a zlib stream (RFC 1950): a window of 32 KiB, the fastest level
_ZLIB_HEADER = b"\x78\x01"


def _reversed(code: int, width: int) -> int:
    """Huffman codes begin with their highest bit, all else in a stream with its lowest."""
    return int(f"{code:0{width}b}"[::-1], 2)


def _fixed_code(symbol: int) -> tuple[int, int]:
    """Bits and width of a literal or length (RFC 1951, section 3.2.6)."""
    for first, code, width in ((280, 0b11000000, 8), (256, 0, 7), (144, 0b110010000, 9), (0, 0b00110000, 8)):
        if symbol >= first:
            return _reversed(code + symbol - first, width), width
    raise ValueError(f"symbol {symbol}")


def _lengths() -> NDArray[np.uint32]:
    """Bits and width of the code of each length of a match, with its extra bits: shape (259, 2)."""
    codes = np.zeros((_LONGEST_MATCH + 1, 2), dtype=np.uint32)
    length = _SHORTEST_MATCH
    for symbol in range(257, 285):
        extra = max(0, (symbol - 261) // 4)
        bits, width = _fixed_code(symbol)
        for rest in range(1 << extra):
            codes[length + rest] = bits | rest << width, width + extra
        length += 1 << extra
    codes[_LONGEST_MATCH] = _fixed_code(285)
    return codes


def _distances() -> NDArray[np.uint32]:
    """First distance, bits and number of extra bits of each code of distances: shape (30, 3)."""
    codes, first = [], 1
    for symbol in range(30):
        extra = max(0, symbol // 2 - 1)
        codes.append((first, _reversed(symbol, 5), extra))
        first += 1 << extra
    return np.array(codes, dtype=np.uint32)


_LITERALS = np.array([_fixed_code(byte) for byte in range(256)], dtype=np.uint32)
_LENGTHS, _DISTANCES = _lengths(), _distances()


def zlib_compress(content: NDArray[np.uint8]) -> bytes:
    """Compress bytes of shape (n,) to a stream of zlib, which is at most an eighth and some bytes longer than they."""
    out = np.zeros(2 * len(content) + 64, dtype=np.uint8)
    nbytes = _compress(content, out)
    return _ZLIB_HEADER + out[:nbytes].tobytes() + zlib.adler32(content.data).to_bytes(4, "big")


@compiled
def _compress(content: NDArray[np.uint8], out: NDArray[np.uint8]) -> int:
    """Write a stream into zeros; returns its length [B]."""
    seen = np.full(1 << _HASH_BITS, -_WINDOW - 1, dtype=np.int64)
    # number of the next bit, and whether a block of fixed codes is open
    place, is_open = 0, False
    coded = here = 0
    word = _word(content, here)
    while here + _MATCH_NBYTES <= len(content):
        slot = (word * _HASH_FACTOR) >> np.uint64(64 - _HASH_BITS)
        distance, seen[slot] = here - seen[slot], here
        end = here if distance > _WINDOW else _end_of_repeat(content, here, distance)
        if end < here + _MATCH_NBYTES:
            here += 1
            word = word >> np.uint64(8) | _byte(content, here + _MATCH_NBYTES - 1) << np.uint64(56)
            continue
        while here > coded and here > distance and content[here - 1] == content[here - 1 - distance]:
            here -= 1
        place, is_open = _put_plain(content[coded:here], out, place, is_open)
        if not is_open:
            place, is_open = _put(out, place, _FIXED, 3), True
        place = _put_repeat(out, place, end - here, distance)
        coded = here = end
        word = _word(content, here)
    place, is_open = _put_plain(content[coded:], out, place, is_open)
    if is_open:
        place = _put_end(out, place)
    place = _put_end(out, _put(out, place, _LAST_FIXED, 3))
    return (place + 7) >> 3


@compiled
def _word(content: NDArray[np.uint8], place: int) -> Any:
    """Eight bytes as a number, the first of them lowest."""
    word = np.uint64(0)
    for k in range(_MATCH_NBYTES):
        word |= _byte(content, place + k) << np.uint64(8 * k)
    return word


@compiled
def _byte(content: NDArray[np.uint8], place: int) -> Any:
    return np.uint64(content[place]) if place < len(content) else np.uint64(0)


@compiled
def _end_of_repeat(content: NDArray[np.uint8], here: int, distance: int) -> int:
    """Up to where bytes are those that came before."""
    end = here
    while end < len(content) and content[end] == content[end - distance]:
        end += 1
    return end


@compiled
def _put_plain(stretch: NDArray[np.uint8], out: NDArray[np.uint8], place: int, is_open: bool) -> tuple[int, bool]:
    """Write bytes that do not repeat."""
    if len(stretch) < _STORED_NBYTES:
        if len(stretch) and not is_open:
            place, is_open = _put(out, place, _FIXED, 3), True
        for byte in stretch:
            place = _put(out, place, _LITERALS[byte, 0], _LITERALS[byte, 1])
        return place, is_open
    if is_open:
        place = _put_end(out, place)
    for first in range(0, len(stretch), _MOST_STORED_NBYTES):
        part = stretch[first : first + _MOST_STORED_NBYTES]
        byte = (_put(out, place, _STORED, 3) + 7) >> 3
        out[byte], out[byte + 1] = len(part) & 0xFF, len(part) >> 8
        out[byte + 2], out[byte + 3] = ~len(part) & 0xFF, ~len(part) >> 8 & 0xFF
        out[byte + 4 : byte + 4 + len(part)] = part
        place = (byte + 4 + len(part)) << 3
    return place, False


@compiled
def _put_repeat(out: NDArray[np.uint8], place: int, nbytes: int, distance: int) -> int:
    """Write matches that together have a length."""
    symbol = len(_DISTANCES) - 1
    while _DISTANCES[symbol, 0] > distance:
        symbol -= 1
    first, bits, extra = _DISTANCES[symbol]
    while nbytes:
        length = min(nbytes, _LONGEST_MATCH)
        if 0 < nbytes - length < _SHORTEST_MATCH:
            length -= _SHORTEST_MATCH
        place = _put(out, place, _LENGTHS[length, 0], _LENGTHS[length, 1])
        place = _put(out, place, bits | (distance - first) << 5, 5 + extra)
        nbytes -= length
    return place


@compiled
def _put_end(out: NDArray[np.uint8], place: int) -> int:
    """Write the end of a block: seven bits that are 0, as all that is not yet written."""
    return place + 7


@compiled
def _put(out: NDArray[np.uint8], place: int, bits: int, width: int) -> int:
    """Write up to 24 bits; returns the number of the next."""
    shifted = np.uint64(bits) << np.uint64(place & 7)
    byte = place >> 3
    for k in range(4):
        out[byte + k] |= np.uint8(shifted >> np.uint64(8 * k) & np.uint64(0xFF))
    return place + width
