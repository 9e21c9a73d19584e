"""Random numbers of a sample: functions of seed, position and number alone, whatever reads it."""

import numpy as np

from fujimi_data.compiled import compiled
from fujimi_data.threefry import Pair, threefry

#: Two words of 32 bits, as the compiled functions take them.
Key = tuple[int, int]
#: Sequences of a key; what one transform draws does not move what another one gets.
CROP, FLIP, RANDAUGMENT, ERASING, NOISE, MIX = range(6)

_WORDS = 2**32
_LIMIT = 2**64
# what derives keys from a seed: families of pictures use the counters (class, 0)
_OF_SAMPLES, _OF_BATCHES = 0, 1


def sample_key(*, seed: int, position: int, number: int) -> Key:
    """Key of all decisions about one reading of one sample.

    Args:
        seed: 0 to ``2**64 - 1``.
        position: When the sample is read: its place in the endless order, or the epoch; 0 to ``2**64 - 1``.
        number: Which sample of the dataset, 0 to ``2**64 - 1``.

    Raises:
        ValueError: If an argument is outside its range.
    """
    if not (0 <= seed < _LIMIT and 0 <= position < _LIMIT and 0 <= number < _LIMIT):
        raise ValueError(f"seed {seed}, position {position}, number {number}: each must be from 0 to 2**64 - 1")
    word_0, word_1 = _chained(
        seed % _WORDS,
        seed // _WORDS,
        _OF_SAMPLES,
        position % _WORDS,
        position // _WORDS,
        number % _WORDS,
        number // _WORDS,
    )
    return int(word_0), int(word_1)


def group_key(*, seed: int, group: int) -> Key:
    """Key of the decisions about samples that are mixed alike.

    Args:
        seed: 0 to ``2**64 - 1``.
        group: Which group of the endless order, 0 to ``2**64 - 1``.

    Raises:
        ValueError: If an argument is outside its range.
    """
    if not (0 <= seed < _LIMIT and 0 <= group < _LIMIT):
        raise ValueError(f"seed {seed}, group {group}: each must be from 0 to 2**64 - 1")
    word_0, word_1 = _chained(seed % _WORDS, seed // _WORDS, _OF_BATCHES, group % _WORDS, group // _WORDS, 0, 0)
    return int(word_0), int(word_1)


@compiled
def _chained(seed_0: int, seed_1: int, purpose: int, when_0: int, when_1: int, which_0: int, which_1: int) -> Pair:
    key = threefry(np.uint32(seed_0), np.uint32(seed_1), np.uint32(purpose), np.uint32(1))
    key = threefry(key[0], key[1], np.uint32(when_0), np.uint32(when_1))
    return threefry(key[0], key[1], np.uint32(which_0), np.uint32(which_1))


@compiled
def uniform(key_0: int, key_1: int, stream: int, index: int) -> tuple[float, float]:
    """Two numbers, at least 0 and below 1.

    Args:
        key_0: First word of the key.
        key_1: Second word of the key.
        stream: Which sequence of the key.
        index: Place in the sequence.
    """
    word_0, word_1 = threefry(np.uint32(key_0), np.uint32(key_1), np.uint32(stream), np.uint32(index))
    return word_0 / _WORDS, word_1 / _WORDS


@compiled
def below(number: float, bound: int) -> int:
    """Whole number from 0, below ``bound``, of a number from 0, below 1."""
    return int(number * bound)


@compiled
def between(number: float, low: float, high: float) -> float:
    """Number from ``low``, below ``high``, of a number from 0, below 1."""
    return low + (high - low) * number
