"""What messages ask of links, of the interfaces of nodes, and of the links inside nodes."""

from dataclasses import dataclass, replace

import numpy as np
from fujimi_core.machine import Node
from fujimi_core.network import Endpoints, Topology
from numpy.typing import NDArray

#: Time for each byte of a message's size, by what takes it [s/B].
Demands = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What messages of equal size that are sent all at once ask of the network.

    Args:
        busy_s_per_byte: Time for which the busiest link or interface is busy, for each byte of a message's size.
        hops: Links on the longest route.
        bottleneck: What is busiest, in words.
        received: Messages of the endpoint that receives most.
        operations: Messages sent and received by the endpoint that has most of both.
    """

    busy_s_per_byte: float
    hops: int
    bottleneck: str
    received: int = 1
    operations: int = 1


def load(topology: Topology, src: Endpoints, dst: Endpoints, *, interfaces: int | None = None) -> Load:
    """Load of messages of equal size that are sent all at once, one for each source and destination.

    The time of the busiest link is exact for messages of equal size that share links fairly (max-min): those on the
    link with most messages get the smallest shares, all of them the same, from beginning to end, and every other
    message gets more. A message from an endpoint to itself asks for nothing.

    Args:
        topology: Where they are sent.
        src: Endpoint that sends each message, shape (messages,).
        dst: Endpoint that receives it.
        interfaces: Interfaces of a node that they go through at most; None for all.
    """
    node = topology.machine.node
    if interfaces is not None and interfaces < node.interfaces:
        node = replace(node, interfaces=interfaces)
    from_node, to_node = src // node.devices, dst // node.devices
    leaves = from_node != to_node
    inside = ~leaves & (src != dst)
    routes = topology.routes(src[leaves], dst[leaves])
    demands = (
        {f"link {each.name}": int(each.messages.max(initial=0)) / each.bandwidth_bytes_per_s for each in routes.links}
        | interface_demands(from_node[leaves], to_node[leaves], node)
        | peer_demands(src[inside], dst[inside], node)
    )
    bottleneck = max(demands, key=demands.__getitem__)
    busy_s_per_byte = demands[bottleneck]
    return Load(
        busy_s_per_byte=busy_s_per_byte,
        hops=int(routes.hops.max(initial=0)),
        bottleneck=bottleneck if busy_s_per_byte else "nothing",
        received=_most(dst),
        operations=_most(np.concatenate([src, dst])),
    )


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


def _most(places: NDArray[np.int64]) -> int:
    """How often the most frequent place occurs."""
    if not len(places):
        return 0
    lowest = int(places.min())
    return int(np.bincount(places - lowest).max())
