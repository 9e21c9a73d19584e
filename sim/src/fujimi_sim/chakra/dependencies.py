"""Which nodes of a trace wait for which, when some are left out."""

import heapq
from collections.abc import Collection, Mapping, Sequence


def bypass(waits: Mapping[int, Sequence[int]], left_out: Collection[int]) -> dict[int, list[int]]:
    """Let those that wait for a node that is left out wait for what it waits for.

    >>> bypass({0: [], 1: [0], 2: [1]}, {1})
    {0: [], 2: [0]}

    Args:
        waits: For what each node waits, which comes before it.
        left_out: Nodes.
    """
    found: dict[int, list[int]] = {}
    for node, others in waits.items():
        kept: dict[int, None] = {}
        for other in others:
            kept.update(dict.fromkeys(found[other] if other in left_out else [other]))
        found[node] = list(kept)
    return {node: others for node, others in found.items() if node not in left_out}


def ordered(waits: Mapping[int, Sequence[int]]) -> list[int]:
    """Nodes with none before one that it waits for; of those that could be next, the lowest number.

    >>> ordered({2: [], 1: [2], 3: []})
    [2, 1, 3]

    Raises:
        ValueError: If some wait for each other.
    """
    missing = {node: set(others) for node, others in waits.items()}
    followers: dict[int, list[int]] = {node: [] for node in waits}
    for node, others in missing.items():
        for other in others:
            followers[other].append(node)
    ready = [node for node, others in missing.items() if not others]
    heapq.heapify(ready)
    found = []
    while ready:
        node = heapq.heappop(ready)
        found.append(node)
        for follower in followers[node]:
            missing[follower].remove(node)
            if not missing[follower]:
                heapq.heappush(ready, follower)
    if len(found) < len(waits):
        stuck = sorted(set(waits) - set(found))[:5]
        raise ValueError(f"nodes {', '.join(map(str, stuck))} wait for each other")
    return found
