"""Placements: node and device of each rank."""

import numpy as np
import pytest
from fujimi_core.placement import Placement, fill_nodes
from hypothesis import given
from hypothesis import strategies as st


@given(nodes=st.lists(st.integers(0, 10**6), unique=True, min_size=1, max_size=20), per_node=st.integers(1, 8))
def test_every_device_of_every_node_gets_one_rank_in_order(nodes: list[int], per_node: int) -> None:
    placement = fill_nodes(np.array(nodes), ranks_per_node=per_node)
    pairs = list(zip(placement.nodes.tolist(), placement.devices.tolist(), strict=True))
    assert pairs == [(node, device) for node in nodes for device in range(per_node)]
    assert placement.ranks == len(nodes) * per_node


@pytest.mark.parametrize("per_node", [0, -1])
def test_node_without_ranks_is_refused(per_node: int) -> None:
    with pytest.raises(ValueError, match=f"ranks_per_node is {per_node}; at least 1 is needed"):
        fill_nodes(np.array([0]), ranks_per_node=per_node)


@pytest.mark.parametrize("devices", [np.zeros(3, np.int64), np.zeros((2, 1), np.int64)])
def test_placement_needs_one_device_a_node_index(devices: np.ndarray) -> None:
    with pytest.raises(ValueError, match="one node and one device a rank"):
        Placement(nodes=np.zeros(2, np.int64), devices=devices)
