"""Random numbers of Python's ``random`` and of numpy's legacy generator, in bulk: what authors' programs draw."""

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray


class BulkRandom:
    """The numbers that a ``random.Random``, or a ``numpy.random.RandomState``, would give from some state on.

    Each method gives what the method of theirs that it names would, bit for bit, and moves on as far.

    Args:
        words: The state's 624 words.
        position: How many of them are used up.

    Source:
        M. Matsumoto, T. Nishimura, "Mersenne Twister", ACM TOMACS 8 (1998) 3; how numbers are made of its words: the
        standard library's ``random.py``. numpy's twister makes numbers from 0 to 1 as Python's does.
    """

    def __init__(self, words: NDArray[np.uint32], position: int) -> None:
        self._twister: Any = np.random.MT19937()
        self._twister.state = {"bit_generator": "MT19937", "state": {"key": words, "pos": position}}
        self._generator = np.random.Generator(self._twister)

    @classmethod
    def of_numpy(cls, seed: int) -> "BulkRandom":
        """Numbers of ``numpy.random.RandomState(seed)``.

        Raises:
            ValueError: If the seed is not from 0 to ``2**32 - 1``.
        """
        _, words, position, *_ = np.random.RandomState(seed).get_state(legacy=True)
        return cls(np.asarray(words, dtype=np.uint32), int(position))

    @classmethod
    def of_python(cls, source: random.Random | int) -> "BulkRandom":
        """Numbers of a ``random.Random``, which stays as it is, or of one with a seed."""
        source = random.Random(source) if isinstance(source, int) else source
        _, (*words, position), _ = source.getstate()
        return cls(np.array(words, dtype=np.uint32), position)

    def words(self, count: int) -> NDArray[np.uint32]:
        """``getrandbits(32)``, so many times; numpy's ``randint(0, 2**32, count, dtype=uint32)``."""
        words: NDArray[np.uint32] = self._twister.random_raw(count).astype(np.uint32)
        return words

    def uniforms(self, count: int) -> NDArray[np.float64]:
        """``random()``, so many times; numpy's ``random_sample(count)``."""
        return self._generator.random(count)

    def integer(self, low: int, high: int) -> int:
        """``randint(low, high)``, of fewer than ``2**32`` values."""
        values = high - low + 1
        unused = 32 - values.bit_length()
        while True:
            drawn = int(self._twister.random_raw()) >> unused
            if drawn < values:
                return low + drawn

    def real(self, low: float, high: float) -> float:
        """``uniform(low, high)``."""
        return low + (high - low) * float(self._generator.random())

    def reals(self, count: int, *, high: float) -> NDArray[np.float64]:
        """``uniform(0, high)``, so many times."""
        return high * self._generator.random(count)

    def exponential(self, rate: float) -> float:
        """``expovariate(rate)``."""
        return -math.log(1.0 - float(self._generator.random())) / rate

    def hand_back(self, source: random.Random) -> None:
        """Move a ``random.Random`` on to the state reached here."""
        state = self._twister.state["state"]
        version, _, gauss = source.getstate()
        source.setstate((version, (*state["key"].tolist(), int(state["pos"])), gauss))


@contextmanager
def drawn_from(source: random.Random) -> Iterator[BulkRandom]:
    """Draw from a ``random.Random`` in bulk; afterwards it has moved on."""
    numbers = BulkRandom.of_python(source)
    yield numbers
    numbers.hand_back(source)
