"""Placement: on which node and which device of it each rank runs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Placement:
    """Node and device of every rank.

    Args:
        nodes: Node index of each rank, shape (ranks,).
        devices: Device of that node, shape (ranks,).
    """

    nodes: NDArray[np.int64]
    devices: NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.nodes.shape != self.devices.shape or self.nodes.ndim != 1:
            raise ValueError(f"one node and one device a rank, got {self.nodes.shape} and {self.devices.shape}")

    @property
    def ranks(self) -> int:
        """Number of ranks placed."""
        return len(self.nodes)


def fill_nodes(nodes: NDArray[np.int64], *, ranks_per_node: int) -> Placement:
    """Place consecutive ranks on the same node, nodes in the order given.

    >>> fill_nodes(np.array([5, 3]), ranks_per_node=2).nodes.tolist()
    [5, 5, 3, 3]

    Args:
        nodes: Node indices in the order in which ranks fill them.
        ranks_per_node: Ranks on each node, at least 1.

    Raises:
        ValueError: If ``ranks_per_node < 1``.
    """
    if ranks_per_node < 1:
        raise ValueError(f"ranks_per_node is {ranks_per_node}; at least 1 is needed")
    return Placement(
        nodes=np.repeat(np.asarray(nodes, np.int64), ranks_per_node),
        devices=np.tile(np.arange(ranks_per_node, dtype=np.int64), len(nodes)),
    )
