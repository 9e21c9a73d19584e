"""What messages ask of the interfaces of nodes, and of the links inside nodes."""

import numpy as np
from fujimi_core.machine import Node
from fujimi_core.network import Endpoints, Load
from numpy.typing import NDArray

#: Time for each byte of a message's size, by what takes it [s/B].
Demands = dict[str, float]


def interface_demands(src: NDArray[np.int64], dst: NDArray[np.int64], node: Node) -> Demands:
    """Demands of messages between nodes on the interfaces of those nodes.

    A message goes through one interface, and a node spreads its messages evenly over its interfaces, which share the
    injection bandwidth. Receiving is as fast as sending and does not disturb it.

    Args:
        src: Node that sends each message, shape (messages,); another one than the receiver.
        dst: Node that receives it.
        node: What the nodes are.
    """
    sent, received = _most(src), _most(dst)
    on_one_interface = -(-max(sent, received) // node.interfaces)
    return {
        "interface": on_one_interface / node.interface_bandwidth_bytes_per_s,
        "injection": sent / node.injection_bandwidth_bytes_per_s,
        "ejection": received / node.injection_bandwidth_bytes_per_s,
    }


def peer_demands(src: Endpoints, dst: Endpoints, node: Node) -> Demands:
    """Demands of messages between different devices of the same node, each device with its own bandwidth."""
    if not len(src) or not node.peer_bandwidth_bytes_per_s:
        return {}
    return {"peer": max(_most(src), _most(dst)) / node.peer_bandwidth_bytes_per_s}


def worst(demands: Demands, *, hops: int) -> Load:
    """The load that the largest demand makes; the first of several."""
    bottleneck = max(demands, key=demands.__getitem__, default="nothing")
    busy_s_per_byte = demands.get(bottleneck, 0.0)
    return Load(busy_s_per_byte=busy_s_per_byte, hops=hops, bottleneck=bottleneck if busy_s_per_byte else "nothing")


def _most(places: NDArray[np.int64]) -> int:
    """How often the most frequent place occurs."""
    if not len(places):
        return 0
    lowest = int(places.min())
    return int(np.bincount(places - lowest).max())
