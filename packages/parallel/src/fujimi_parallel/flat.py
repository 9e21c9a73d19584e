"""Which elements of which tensors a rank holds, when they lie end to end and are cut into equal parts."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Consecutive elements of one tensor.

    Args:
        name: Of the tensor.
        start: First element, row-major.
        stop: After the last.
        offset: Where the first one lies in the part of the rank.
    """

    name: str
    start: int
    stop: int
    offset: int


def part_numel(numel: int, ranks: int) -> int:
    """Elements of each rank's part; only the last parts are filled up.

    >>> part_numel(10, 4)
    3
    """
    return -(-numel // ranks)


def segments(numels: Mapping[str, int], *, ranks: int, rank: int) -> tuple[Segment, ...]:
    """What one rank's part holds of each tensor; tensors of which it holds nothing are left out.

    >>> segments({"weight": 6, "bias": 4}, ranks=4, rank=2)
    (Segment(name='bias', start=0, stop=3, offset=0),)

    Args:
        numels: Elements of the tensors, in the order in which they lie.
        ranks: Parts.
        rank: Which part, from 0.
    """
    length = part_numel(sum(numels.values()), ranks)
    begin, end = rank * length, (rank + 1) * length
    found, position = [], 0
    for name, numel in numels.items():
        start, stop = max(begin, position), min(end, position + numel)
        if start < stop:
            found.append(Segment(name=name, start=start - position, stop=stop - position, offset=start - begin))
        position += numel
    return tuple(found)


def buckets(nbytes: Mapping[str, int], limit: int) -> list[list[str]]:
    """Names in pieces of about so many bytes, last first, as gradients arrive.

    >>> buckets({"a": 3, "b": 2, "c": 4}, 5)
    [['c'], ['b', 'a']]
    """
    pieces: list[list[str]] = []
    filled = 0
    for name in reversed(list(nbytes)):
        if not pieces or filled + nbytes[name] > limit:
            pieces.append([])
            filled = 0
        pieces[-1].append(name)
        filled += nbytes[name]
    return pieces
