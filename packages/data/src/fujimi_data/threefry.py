"""Threefry-2x32: random words as a pure function of key and counter."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled

#: Two 32-bit words.
Pair = tuple[np.uint32, np.uint32]
_Four = tuple[np.uint32, np.uint32, np.uint32, np.uint32]
_PARITY = 0x1BD11BDA


@compiled
def _rotate_xor(x: np.uint32, y: np.uint32, v: np.uint32, w: np.uint32, bits: int) -> _Four:
    x, v = np.uint32(x + y), np.uint32(v + w)
    # all in 32 bits, or the loop over counters is not vectorised
    left, right = np.uint32(bits), np.uint32(32 - bits)
    y = np.uint32((np.uint32(y << left) | (y >> right)) ^ x)
    w = np.uint32((np.uint32(w << left) | (w >> right)) ^ v)
    return x, y, v, w


@compiled
def _four_even(x: np.uint32, y: np.uint32, v: np.uint32, w: np.uint32) -> _Four:
    x, y, v, w = _rotate_xor(x, y, v, w, 13)
    x, y, v, w = _rotate_xor(x, y, v, w, 15)
    x, y, v, w = _rotate_xor(x, y, v, w, 26)
    return _rotate_xor(x, y, v, w, 6)


@compiled
def _four_odd(x: np.uint32, y: np.uint32, v: np.uint32, w: np.uint32) -> _Four:
    x, y, v, w = _rotate_xor(x, y, v, w, 17)
    x, y, v, w = _rotate_xor(x, y, v, w, 29)
    x, y, v, w = _rotate_xor(x, y, v, w, 16)
    return _rotate_xor(x, y, v, w, 24)


@compiled
def _add(
    x: np.uint32, y: np.uint32, v: np.uint32, w: np.uint32, key_0: np.uint32, key_1: np.uint32, count: int
) -> _Four:
    key_1 = np.uint32(key_1 + np.uint32(count))
    return np.uint32(x + key_0), np.uint32(y + key_1), np.uint32(v + key_0), np.uint32(w + key_1)


@compiled
def _two_threefry(
    key_0: np.uint32, key_1: np.uint32, counter_0: np.uint32, counter_1: np.uint32, other_1: np.uint32
) -> _Four:
    """The pairs of two counters that differ in their second half.

    Each operation waits for the one before it: two pairs at a time keep a core busy.
    """
    key_2 = np.uint32(np.uint32(_PARITY) ^ key_0 ^ key_1)
    x, y, v, w = _add(counter_0, counter_1, counter_0, other_1, key_0, key_1, 0)
    x, y, v, w = _four_even(x, y, v, w)
    x, y, v, w = _add(x, y, v, w, key_1, key_2, 1)
    x, y, v, w = _four_odd(x, y, v, w)
    x, y, v, w = _add(x, y, v, w, key_2, key_0, 2)
    x, y, v, w = _four_even(x, y, v, w)
    x, y, v, w = _add(x, y, v, w, key_0, key_1, 3)
    x, y, v, w = _four_odd(x, y, v, w)
    x, y, v, w = _add(x, y, v, w, key_1, key_2, 4)
    x, y, v, w = _four_even(x, y, v, w)
    return _add(x, y, v, w, key_2, key_0, 5)


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
    word_0, word_1, _, _ = _two_threefry(key_0, key_1, counter_0, counter_1, counter_1)
    return word_0, word_1


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
    half = len(words_0) // 2
    _fill_both(words_0[:half], words_1[:half], words_0[half:], words_1[half:], key_0, key_1, stream, first)
    for i in range(2 * half, len(words_0)):
        words_0[i], words_1[i] = threefry(key_0, key_1, stream, np.uint32(first + i))


@compiled
def _fill_both(
    words_0: NDArray[np.uint32],
    words_1: NDArray[np.uint32],
    others_0: NDArray[np.uint32],
    others_1: NDArray[np.uint32],
    key_0: np.uint32,
    key_1: np.uint32,
    stream: np.uint32,
    first: np.uint32,
) -> None:
    second = np.uint32(first + len(words_0))
    for i in range(len(words_0)):
        counter, other = np.uint32(first + i), np.uint32(second + i)
        words_0[i], words_1[i], others_0[i], others_1[i] = _two_threefry(key_0, key_1, stream, counter, other)


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
