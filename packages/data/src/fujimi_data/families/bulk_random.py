"""Random numbers of Python's ``random``, in bulk: what authors' programs are drawn with."""

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray


class BulkRandom:
    """The numbers that a ``random.Random`` would give from its present state; it stays as it is.

    Each method gives what the method of ``random.Random`` that it names would, bit for bit, and moves on as far.

    Source:
        M. Matsumoto, T. Nishimura, "Mersenne Twister", ACM TOMACS 8 (1998) 3; how numbers are made of its words: the
        standard library's ``random.py``. numpy's twister makes numbers from 0 to 1 as Python's does.
    """

    def __init__(self, source: random.Random) -> None:
        _, words, _ = source.getstate()
        self._twister: Any = np.random.MT19937()
        self._twister.state = {
            "bit_generator": "MT19937",
            "state": {"key": np.array(words[:-1], dtype=np.uint32), "pos": words[-1]},
        }
        self._generator = np.random.Generator(self._twister)

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
    numbers = BulkRandom(source)
    yield numbers
    numbers.hand_back(source)
