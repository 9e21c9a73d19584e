"""Bytes of some samples, as their shards have them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fujimi_data.errors import Damage


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pieces:
    """What was read of some samples.

    Args:
        content: All, one after the other.
        starts: Where each begins, and the end of the last, shape (samples + 1,).
        labels: Class of each; 0 where samples have none, shape (samples,).
        damages: What is wrong with those that are damaged, by their places among the pieces.
    """

    content: NDArray[np.uint8]
    starts: NDArray[np.int64]
    labels: NDArray[np.int64]
    damages: Mapping[int, Damage]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> memoryview:
        """Members of the archive that make up a sample.

        Raises:
            IndexError: If there is no such piece.
        """
        if not 0 <= place < len(self):
            raise IndexError(f"piece {place} of {len(self)}")
        return self.content[self.starts[place] : self.starts[place + 1]].data


def joined(parts: Sequence[Pieces], everywhere: Sequence[NDArray[np.int64]]) -> Pieces:
    """Pieces that were read in some parts.

    Args:
        parts: What was read.
        everywhere: Places of the pieces of each part among all.
    """
    count = sum(len(pieces) for pieces in parts)
    starts, labels = np.zeros(count + 1, dtype=np.int64), np.empty(count, dtype=np.int64)
    damages = {}
    for places, pieces in zip(everywhere, parts, strict=True):
        starts[places + 1] = np.diff(pieces.starts)
        labels[places] = pieces.labels
        damages.update({int(places[place]): damage for place, damage in pieces.damages.items()})
    np.cumsum(starts, out=starts)
    content = np.empty(int(starts[-1]), dtype=np.uint8)
    for places, pieces in zip(everywhere, parts, strict=True):
        for place, number in enumerate(places.tolist()):
            content[starts[number] : starts[number + 1]] = pieces[place]
    return Pieces(content=content, starts=starts, labels=labels, damages=damages)
