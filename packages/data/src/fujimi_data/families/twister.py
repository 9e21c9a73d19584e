"""Mersenne Twister, many words at a time: what numpy.random.RandomState and random.Random draw."""

import random
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled

_STATE = 624
_SHIFT = 397

_Words = NDArray[np.uint32]


@dataclass(slots=True)
class Twister:
    """A generator.

    Args:
        state: Shape (624,).
        position: How many words of the state are used up.
    """

    state: _Words
    position: int

    @classmethod
    def of_numpy(cls, seed: int) -> "Twister":
        """The generator of ``numpy.random.RandomState(seed)``.

        Raises:
            ValueError: If the seed is not from 0 to ``2**32 - 1``.
        """
        _, state, position, *_ = np.random.RandomState(seed).get_state(legacy=True)
        return cls(np.asarray(state, dtype=np.uint32), int(position))

    @classmethod
    def of_python(cls, seed: int) -> "Twister":
        """The generator of ``random.Random(seed)``."""
        *state, position = random.Random(seed).getstate()[1]
        return cls(np.array(state, dtype=np.uint32), position)

    def words(self, count: int) -> _Words:
        """The next words."""
        words = np.empty(count, dtype=np.uint32)
        self.position = fill_twister(words, self.state, self.position)
        return words

    def uniforms(self, count: int) -> NDArray[np.float64]:
        """The next numbers from 0 to below 1: ``random_sample(count)`` of numpy, ``random()`` of Python."""
        numbers = np.empty(count)
        fill_uniforms(numbers, self.words(2 * count))
        return numbers


@compiled
def fill_uniforms(numbers: NDArray[np.float64], words: _Words) -> None:
    """Make numbers from 0 to below 1 in 53 bits, each of two words, as numpy and Python do."""
    for i in range(len(words) // 2):
        high, low = np.int32(words[2 * i] >> np.uint32(5)), np.int32(words[2 * i + 1] >> np.uint32(6))
        numbers[i] = (high * 67108864.0 + low) / 9007199254740992.0


@compiled
def fill_twister(words: _Words, state: _Words, position: int) -> int:
    """Write the next words of a generator and move its state on.

    Args:
        words: Written, as many as there are.
        state: Of the generator, shape (624,); moved on in place.
        position: How many words of the state are used up.

    Returns:
        How many are used up then.

    Source:
        M. Matsumoto, T. Nishimura, "Mersenne twister: a 623-dimensionally equidistributed uniform pseudo-random number
        generator", ACM Transactions on Modeling and Computer Simulation 8 (1998) 3.
    """
    before = np.empty_like(state)
    done = 0
    while done < len(words):
        if position == _STATE:
            before[:] = state
            _advance(state, before)
            position = 0
        count = min(_STATE - position, len(words) - done)
        _temper(words[done : done + count], state[position : position + count])
        done += count
        position += count
    return position


@compiled
def _advance(state: _Words, before: _Words) -> None:
    near, reach = _STATE - _SHIFT, 2 * (_STATE - _SHIFT)
    _twist(state[:near], before[:near], before[1 : near + 1], before[_SHIFT:])
    _twist(state[near:reach], before[near:reach], before[near + 1 : reach + 1], state[:near])
    _twist(state[reach : _STATE - 1], before[reach : _STATE - 1], before[reach + 1 :], state[near:_SHIFT])
    _twist(state[_STATE - 1 :], before[_STATE - 1 :], state[:1], state[_SHIFT - 1 : _SHIFT])


@compiled
def _twist(state: _Words, before: _Words, following: _Words, far: _Words) -> None:
    for i in range(len(state)):
        mixed = np.uint32((before[i] & np.uint32(0x80000000)) | (following[i] & np.uint32(0x7FFFFFFF)))
        odd = np.uint32(0) if following[i] & np.uint32(1) == 0 else np.uint32(0x9908B0DF)
        state[i] = np.uint32(far[i] ^ (mixed >> np.uint32(1)) ^ odd)


@compiled
def _temper(words: _Words, state: _Words) -> None:
    for i in range(len(words)):
        y = state[i]
        y = np.uint32(y ^ (y >> np.uint32(11)))
        y = np.uint32(y ^ (np.uint32(y << np.uint32(7)) & np.uint32(0x9D2C5680)))
        y = np.uint32(y ^ (np.uint32(y << np.uint32(15)) & np.uint32(0xEFC60000)))
        words[i] = np.uint32(y ^ (y >> np.uint32(18)))
