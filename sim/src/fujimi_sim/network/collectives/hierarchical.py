"""Hierarchical: inside nodes first, then between nodes, one rank of each node in every ring."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from fujimi_core.network import Endpoints, Phase, Topology
from fujimi_core.workload import CollectiveKind

from fujimi_sim.network.collectives.doubling import RecursiveDoubling
from fujimi_sim.network.collectives.rings import SHARING, ring_phase, there_and_back
from fujimi_sim.network.collectives.trees import scatter_all_gather, scattered


@dataclass(frozen=True, slots=True, kw_only=True)
class Hierarchical:
    """Rings inside the nodes and rings between them, for groups with several members on each of several nodes.

    A reduce-scatter inside each node leaves ``1 / c`` of the vector to each of its c members, who go on with those at
    the same place in the other nodes. A broadcast is a scatter inside the root's node, one broadcast between nodes for
    each part, and an all-gather inside all nodes.

    Source:
        M. Cho, U. Finkler, M. Serrano, D. Kung, H. Hunter, "BlueConnect", MLSys 2019; the broadcast as van de Geijn's.
    """

    name: str = "hierarchical"
    kinds: frozenset[CollectiveKind] = SHARING | {CollectiveKind.BROADCAST}
    transport: str = "mpi"
    automatic: bool = True

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase] | None:
        """Phases, or None where nodes have one member of a group each, or some more than others."""
        found = by_node(groups, topology)
        if found is None:
            return None
        inside, between = rings_of(found)
        places = found.shape[2]
        within = ring_phase(inside, share=1.0, reduces=True)
        if kind is CollectiveKind.BROADCAST:
            across = scatter_all_gather(between)
            shares = [replace(phase, share=phase.share / places) for phase in across]
            return [*scattered(found[:, 0]), *shares, replace(within, reduces=False)]
        return there_and_back(kind, [within, ring_phase(between, share=1 / places, reduces=True)])


@dataclass(frozen=True, slots=True, kw_only=True)
class HierarchicalDoubling:
    """All-reduce by rings inside the nodes and recursive doubling between them: few steps on many nodes.

    ``2 (c - 1)`` steps inside a node of c members and ``log2`` of the number of nodes between them.

    Source:
        As `Hierarchical`, with the exchange of Thakur, Rabenseifner, Gropp 2005, section 4.5, between nodes.
    """

    name: str = "hierarchical_doubling"
    kinds: frozenset[CollectiveKind] = frozenset({CollectiveKind.ALL_REDUCE})
    transport: str = "mpi"
    automatic: bool = True

    def phases(self, kind: CollectiveKind, groups: Endpoints, *, topology: Topology) -> Sequence[Phase] | None:
        """Phases, or None where nodes have one member of a group each, or some more than others."""
        found = by_node(groups, topology)
        if found is None:
            return None
        inside, between = rings_of(found)
        exchanges = RecursiveDoubling().phases(kind, between, topology=topology) or []
        within = ring_phase(inside, share=1.0, reduces=True)
        shares = [replace(phase, share=phase.share / found.shape[2]) for phase in exchanges]
        return [within, *shares, replace(within, reduces=False)]


def by_node(groups: Endpoints, topology: Topology) -> Endpoints | None:
    """Members of groups by their node, that of the first member first.

    Returns:
        Endpoints of shape (groups, nodes, members on a node), in rank order on each node; None if a group has only one
        member on a node, or is on one node, or has not as many members on all of its nodes.
    """
    nodes = groups // topology.machine.node.devices
    from_the_root = (nodes - nodes[:, :1]) % topology.machine.nodes
    order = np.argsort(from_the_root, axis=1, kind="stable")
    sorted_nodes = np.take_along_axis(nodes, order, axis=1)
    members = groups.shape[1]
    places = int(np.count_nonzero(nodes[0] == nodes[0, 0]))
    if places in (1, members) or members % places:
        return None
    shaped = sorted_nodes.reshape(len(groups), -1, places)
    firsts = shaped[:, :, 0]
    if (shaped != firsts[:, :, None]).any() or (firsts[:, 1:] == firsts[:, :-1]).any():
        return None
    return np.take_along_axis(groups, order, axis=1).reshape(shaped.shape)


def rings_of(found: Endpoints) -> tuple[Endpoints, Endpoints]:
    """Rings inside nodes, and rings of those at the same place in all nodes, shape (rings, members) each."""
    groups, nodes, places = found.shape
    return found.reshape(-1, places), found.transpose(0, 2, 1).reshape(groups * places, nodes)
