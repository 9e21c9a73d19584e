"""Threefry-2x32: random words as a pure function of key and counter."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled

#: Two 32-bit words.
Pair = tuple[np.uint32, np.uint32]
_PARITY = 0x1BD11BDA


@compiled
def _rotate_xor(high: np.uint32, low: np.uint32, bits: int) -> Pair:
    high = np.uint32(high + low)
    # 32 bits throughout, or the loop over counters is vectorised in 64
    rotated = np.uint32(np.uint32(low << np.uint32(bits)) | np.uint32(low >> np.uint32(32 - bits)))
    return high, np.uint32(rotated ^ high)


@compiled
def _four_even(high: np.uint32, low: np.uint32) -> Pair:
    high, low = _rotate_xor(high, low, 13)
    high, low = _rotate_xor(high, low, 15)
    high, low = _rotate_xor(high, low, 26)
    return _rotate_xor(high, low, 6)


@compiled
def _four_odd(high: np.uint32, low: np.uint32) -> Pair:
    high, low = _rotate_xor(high, low, 17)
    high, low = _rotate_xor(high, low, 29)
    high, low = _rotate_xor(high, low, 16)
    return _rotate_xor(high, low, 24)


@compiled
def threefry(key_0: np.uint32, key_1: np.uint32, counter_0: np.uint32, counter_1: np.uint32) -> Pair:
    """Two random words; for one key, different counters give different pairs.

    Args:
        key_0: First half of the key.
        key_1: Second half of the key.
        counter_0: First half of the counter.
        counter_1: Second half of the counter.

    Source:
        J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11,
        section 4.1; Threefry-2x32 with 20 rounds.
    """
    key_2 = np.uint32(np.uint32(_PARITY) ^ key_0 ^ key_1)
    x, y = _four_even(np.uint32(counter_0 + key_0), np.uint32(counter_1 + key_1))
    x, y = _four_odd(np.uint32(x + key_1), np.uint32(y + key_2 + np.uint32(1)))
    x, y = _four_even(np.uint32(x + key_2), np.uint32(y + key_0 + np.uint32(2)))
    x, y = _four_odd(np.uint32(x + key_0), np.uint32(y + key_1 + np.uint32(3)))
    x, y = _four_even(np.uint32(x + key_1), np.uint32(y + key_2 + np.uint32(4)))
    return np.uint32(x + key_2), np.uint32(y + key_0 + np.uint32(5))


@compiled
def fill_words(
    words_0: NDArray[np.uint32],
    words_1: NDArray[np.uint32],
    key_0: np.uint32,
    key_1: np.uint32,
    stream: np.uint32,
    first: np.uint32,
) -> None:
    """Write the pairs of counters ``(stream, first)``, ``(stream, first + 1)``, … into two arrays of one length."""
    for i in range(len(words_0)):
        words_0[i], words_1[i] = threefry(key_0, key_1, stream, np.uint32(first + i))


def derived_key(key: Pair, index: int) -> Pair:
    """A key for one of many things that share a key: a class of a seed."""
    word_0, word_1 = threefry(*key, np.uint32(index), np.uint32(0))
    return np.uint32(word_0), np.uint32(word_1)


def words(key: Pair, *, stream: int, first: int = 0, pairs: int) -> NDArray[np.uint32]:
    """Random words of shape (pairs, 2).

    Args:
        key: Two words.
        stream: Which of the ``2**32`` sequences of the key.
        first: Where in the sequence to begin [pairs].
        pairs: How many to give; the sequence has ``2**32``.
    """
    both = np.empty((2, pairs), dtype=np.uint32)
    fill_words(both[0], both[1], *key, np.uint32(stream), np.uint32(first))
    return both.T
