"""Algorithms that every MPI library could have, on any network."""

from fujimi_core.network import CollectiveAlgorithm

from fujimi_sim.network.collectives.bruck import Bruck, Dissemination
from fujimi_sim.network.collectives.bucket import Bucket
from fujimi_sim.network.collectives.doubling import Rabenseifner, RecursiveDoubling, RecursiveHalving
from fujimi_sim.network.collectives.hierarchical import Hierarchical, HierarchicalDoubling
from fujimi_sim.network.collectives.linear import Linear
from fujimi_sim.network.collectives.multiport import MultiportBucket
from fujimi_sim.network.collectives.neighbor import NeighborExchange
from fujimi_sim.network.collectives.pairwise import Pairwise
from fujimi_sim.network.collectives.pipelined import PIPELINED
from fujimi_sim.network.collectives.ring import Ring
from fujimi_sim.network.collectives.trees import Binomial, ReduceBroadcast, ReduceThenScatter, ScatterAllGather

GENERIC: tuple[CollectiveAlgorithm, ...] = (
    Ring(),
    Bucket(),
    MultiportBucket(),
    RecursiveDoubling(),
    RecursiveHalving(),
    Rabenseifner(),
    Binomial(),
    ScatterAllGather(),
    ReduceBroadcast(),
    ReduceThenScatter(),
    Bruck(),
    Dissemination(),
    Pairwise(),
    Linear(),
    NeighborExchange(),
    Hierarchical(),
    HierarchicalDoubling(),
    *PIPELINED,
)
