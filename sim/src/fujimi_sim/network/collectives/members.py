"""Who talks to whom, by position in a group."""

from dataclasses import dataclass, replace

import numpy as np
from fujimi_core.network import Endpoints, Phase
from numpy.typing import NDArray

Positions = NDArray[np.int64]

#: Collectives that make at most so many messages are counted message by message.
MOST_MESSAGES = 4_000_000
#: Algorithms of one step a member are counted step by step in groups of at most so many.
MOST_STEPS = 1024


def powers(members: int) -> list[int]:
    """Powers of two below the number of members.

    >>> powers(8), powers(9)
    ([1, 2, 4], [1, 2, 4, 8])
    """
    return [1 << step for step in range((members - 1).bit_length())]


def is_power_of_two(members: int) -> bool:
    """Whether a number of members can be halved down to one."""
    return members & (members - 1) == 0


def with_segment(name: str, segment_bytes: int | None) -> str:
    """Name of an algorithm, and behind a slash the size of its pieces if it cuts the buffer.

    >>> with_segment("chain", 1024), with_segment("chain", None)
    ('chain/1024', 'chain')
    """
    return f"{name}/{segment_bytes}" if segment_bytes else name


def in_fresh(phases: list[Phase], buffers: float) -> list[Phase]:
    """Phases of an algorithm that allocates so many buffers as long as the vector before it begins."""
    return [replace(phases[0], fresh=buffers), *phases[1:]] if phases else []


def messages(
    groups: Endpoints, senders: Positions, receivers: Positions, *, share: float = 1.0, reduces: bool = False
) -> Phase:
    """Messages between members of each group, by their position in it."""
    return Phase(src=groups[:, senders].ravel(), dst=groups[:, receivers].ravel(), share=share, reduces=reduces)


def shifted(groups: Endpoints, distance: int, *, share: float) -> Phase:
    """Messages from each member to the one so many positions further on, around the end of the group."""
    return Phase(src=groups.ravel(), dst=np.roll(groups, -distance, axis=1).ravel(), share=share)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Folding:
    """Members that take part in exchanges over powers of two, and those that hand theirs to a neighbour before.

    Args:
        inner: Positions of those who take part: as many as the largest power of two.
        handing: Positions of those who hand theirs in before and get the result after.
        taking: Positions of those to whom they hand it; the first of ``inner``.
    """

    inner: Positions
    handing: Positions
    taking: Positions

    @classmethod
    def of(cls, members: int) -> "Folding":
        """Fold p members: of the first ``2 (p - 2^floor(log2 p))``, each second hands its vector to the one before.

        The first member takes part, so that it can be the root.

        >>> folding = Folding.of(6)
        >>> folding.inner.tolist(), folding.handing.tolist(), folding.taking.tolist()
        ([0, 2, 4, 5], [1, 3], [0, 2])

        Source:
            R. Thakur, R. Rabenseifner, W. Gropp, "Optimization of Collective Communication Operations in MPICH",
            Int. J. High Perform. Comput. Appl. 19 (2005), section 4.4; there it is the second of two that takes part.
        """
        left_over = members - (1 << members.bit_length() - 1)
        taking = np.arange(0, 2 * left_over, 2)
        return cls(inner=np.concatenate([taking, np.arange(2 * left_over, members)]), handing=taking + 1, taking=taking)

    def exchange(self, groups: Endpoints, distance: int, *, share: float = 1.0, reduces: bool = False) -> Phase:
        """Messages between all pairs of those who take part that are so far apart, a power of two, both ways."""
        partners = self.inner[np.arange(len(self.inner)) ^ distance]
        return messages(groups, self.inner, partners, share=share, reduces=reduces)

    def before(self, groups: Endpoints, *, share: float = 1.0, reduces: bool = False) -> list[Phase]:
        """What is handed in, if anybody has to."""
        if not len(self.handing):
            return []
        return [messages(groups, self.handing, self.taking, share=share, reduces=reduces)]

    def after(self, groups: Endpoints, *, share: float = 1.0) -> list[Phase]:
        """What is given back, if anybody has handed in."""
        return [messages(groups, self.taking, self.handing, share=share)] if len(self.handing) else []
