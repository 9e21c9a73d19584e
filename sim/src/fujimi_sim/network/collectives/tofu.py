"""Algorithms of libraries for Tofu, which take part where they are named or a library's table chooses them."""

from collections.abc import Iterator

from fujimi_core.network import CollectiveAlgorithm

from fujimi_sim.network.collectives.fujitsu import (
    AxisTree,
    GatherBroadcast,
    InOrderBinary,
    Pulled,
    ReduceBroadcast,
    TofuBarrier,
    WholeBroadcast,
)
from fujimi_sim.network.collectives.spread import Spread
from fujimi_sim.network.collectives.trinary import TorusRings, Trinary
from fujimi_sim.network.collectives.utofu import Forwarding, Halving, Tree, TwoTrees, WholeExchange

#: Interfaces that the Bine library uses on tori of three axes, and of two.
LANES = (1, 2, 3, 4, 6)
#: Pieces into which it cuts what is added up or passed on; whole messages if None.
SEGMENTS = (None, 4096, 65_536, 1_048_576)
TREE_SEGMENTS = (None, 1024, 4096, 8192, 16_384, 65_536)


def _fujitsu() -> Iterator[CollectiveAlgorithm]:
    yield TofuBarrier()
    yield Spread()
    yield Pulled()
    yield GatherBroadcast()
    yield ReduceBroadcast()
    yield InOrderBinary()
    yield WholeBroadcast()
    yield TorusRings()
    for segment in TREE_SEGMENTS:
        yield AxisTree(segment_bytes=segment)
        yield Trinary(ways=3, segment_bytes=segment)
        yield Trinary(ways=6, segment_bytes=segment)


def _bine() -> Iterator[CollectiveAlgorithm]:
    yield TorusRings(transport="utofu")
    for bine in (True, False):
        for lanes in LANES:
            yield WholeExchange(bine=bine, lanes=lanes)
            yield TwoTrees(bine=bine, lanes=lanes)
            yield Tree(bine=bine, lanes=lanes, nearest_first=False)
            for segment in SEGMENTS:
                yield Halving(bine=bine, lanes=lanes, segment_bytes=segment)
                yield Tree(bine=bine, lanes=lanes, segment_bytes=segment)
                yield Tree(bine=bine, lanes=lanes, segment_bytes=segment, buffered=True)
        yield Forwarding(bine=bine)
        yield Forwarding(bine=bine, over_mpi=True)
        yield Halving(bine=bine, over_mpi=True)
        yield TwoTrees(bine=bine, over_mpi=True)
        yield Tree(bine=bine, over_mpi=True)
        yield Tree(bine=bine, over_mpi=True, segment_bytes=1_048_576)


TOFU: tuple[CollectiveAlgorithm, ...] = (*_fujitsu(), *_bine())
