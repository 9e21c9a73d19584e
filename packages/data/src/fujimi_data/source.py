"""Where pictures come from: shards, a generator, or a cache before either."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from fujimi_data.errors import Damage


class Picture(NamedTuple):
    """A picture of a source, and its class.

    Args:
        pixels: Shape (rows, columns) or (rows, columns, 3); a damaged sample has what is wrong with it instead.
        label: Class.
    """

    pixels: NDArray[np.uint8] | Damage
    label: int


class Source(Protocol):
    """Pictures by number."""

    def __len__(self) -> int: ...

    def pictures(self, numbers: NDArray[np.int64]) -> Iterator[Picture]:
        """Read pictures, in the order of their numbers; any thread may.

        Raises:
            IndexError: If there is no such picture.
        """
        ...
