import numpy as np
import pytest
from fujimi_core.workload import CollectiveKind
from fujimi_sim.network.collectives.pipelined import PIPELINED, Binary, Chain, SplitBinary, parents
from fujimi_sim.network.timing import phases_cost
from fujimi_sim.network.torus import Torus


def depths(phase, *, root=0):
    """Messages between the root and each endpoint."""
    depth = {root: 0}
    left = set(zip(phase.src.tolist(), phase.dst.tolist(), strict=True))
    while left:
        ready = {edge for edge in left if edge[0] in depth}
        assert ready
        for src, dst in ready:
            assert dst not in depth
            depth[dst] = depth[src] + 1
        left -= ready
    return depth


def phases_of(machine_of, tree, members, kind=CollectiveKind.BROADCAST):
    return tree.phases(kind, np.arange(members)[None], topology=Torus.of(machine_of(40)))


@pytest.mark.parametrize("members", [2, 3, 4, 7, 8, 15, 16, 33])
@pytest.mark.parametrize(
    "tree", [Chain(segment_bytes=1024), Binary(segment_bytes=1024), Chain()], ids=lambda tree: tree.name
)
def test_a_tree_reaches_everyone_once_and_is_as_deep_as_it_says(machine_of, tree, members):
    (phase,) = phases_of(machine_of, tree, members)
    depth = depths(phase)
    assert sorted(depth) == list(range(members))
    assert max(depth.values()) == phase.stages


def test_the_binary_tree_is_that_of_open_mpi():
    # Children of a rank on level l are rank + 2^l and rank + 2 * 2^l (coll_base_topo.c).
    members = 40
    children = {rank: [] for rank in range(members)}
    for child, parent in enumerate(parents(members).tolist(), start=1):
        children[parent].append(child)
    for rank, found in children.items():
        delta = 1 << (rank + 1).bit_length() - 1
        assert found == [child for child in (rank + delta, rank + 2 * delta) if child < members]


@pytest.mark.parametrize("tree", [Chain(segment_bytes=4096), Binary(segment_bytes=4096)], ids=lambda tree: tree.name)
def test_a_reduce_goes_up_the_tree_of_the_broadcast_and_adds(machine_of, tree):
    (down,), (up,) = (
        phases_of(machine_of, tree, 11, kind) for kind in (CollectiveKind.BROADCAST, CollectiveKind.REDUCE)
    )
    assert (down.src == up.dst).all()
    assert (down.dst == up.src).all()
    assert (down.reduces, up.reduces) == (False, True)


@pytest.mark.parametrize("members", [2, 3, 4, 9, 10])
def test_everyone_gets_both_halves_of_a_split_tree(machine_of, members):
    tree, exchange = phases_of(machine_of, SplitBinary(segment_bytes=1024), members)
    have = {0: {"left", "right"}} | {rank: {"left" if rank % 2 else "right"} for rank in range(1, members)}
    before = {rank: set(halves) for rank, halves in have.items()}
    for src, dst in zip(exchange.src.tolist(), exchange.dst.tolist(), strict=True):
        have[dst] |= before[src]
    assert all(halves == {"left", "right"} for halves in have.values())
    assert tree.share == exchange.share == 0.5


def test_without_pieces_levels_do_not_meet_on_links(machine_of):
    levels = phases_of(machine_of, Binary(), 8)
    assert [len(phase.src) for phase in levels] == [2, 4, 1]


def test_a_chain_takes_one_piece_for_each_member_and_each_further_piece(machine_of):
    machine = machine_of(5, link=1e9, hop_s=1e-7, message_s=1e-6)
    phases = phases_of(lambda *_: machine, Chain(segment_bytes=1024), 5)
    piece_s = 1024 / 1e9
    expected_s = 4 * (1e-6 + 1e-7 + piece_s) + 9 * piece_s
    assert phases_cost(phases, Torus.of(machine)).seconds(10 * 1024) == pytest.approx(expected_s)


def test_names_carry_the_segment_size_and_few_are_tried_unasked():
    names = [tree.name for tree in PIPELINED]
    assert len(set(names)) == 21
    assert {"chain", "chain/1024", "binary/65536", "split_binary/1048576"} <= set(names)
    automatic = {tree.name for tree in PIPELINED if tree.automatic}
    assert automatic == {f"{tree}{size}" for tree in ("chain", "binary", "split_binary") for size in ("", "/65536")}
