import threading
import time

import pytest
from fujimi_core.errors import RunError
from fujimi_core.mesh import Mesh
from fujimi_parallel import heartbeat
from fujimi_parallel.heartbeat import Beat, Card, Kind, Ring, unpacked
from fujimi_parallel.world import World

BEAT = Beat(kind=Kind.GOODBYE, rank=158_975, step=2**40, still_s=0.25, what="reading a batch, 富士")


class Table:
    """Where ranks that are threads of this process swap their cards."""

    def __init__(self, ranks):
        self.ranks, self.cards, self.all_there = ranks, {}, threading.Barrier(ranks)

    def exchange(self, mine, before, after):
        self.cards[(before + 1) % self.ranks] = mine
        self.all_there.wait()
        return self.cards[before], self.cards[after]


def world_of(rank, ranks, *, local_size=None):
    return World(rank=rank, mesh=Mesh.of(dp=ranks), local_rank=rank, local_size=local_size or ranks)


@pytest.fixture
def rings(request):
    """Makes the rings of several ranks at once, and closes them."""

    def make(ranks, *, local_size=None):
        table, made = Table(ranks), [None] * ranks

        def join(rank):
            made[rank] = Ring(world_of(rank, ranks, local_size=local_size), pid=100 + rank, exchange=table.exchange)
            request.addfinalizer(made[rank].close)

        together([lambda rank=rank: join(rank) for rank in range(ranks)])
        return made

    return make


def together(calls):
    threads = [threading.Thread(target=call) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_beat_reads_back_with_the_key_it_was_written_with():
    assert unpacked(BEAT.packed(7), 7) == BEAT


@pytest.mark.parametrize("data", [b"", b"hello", BEAT.packed(8), BEAT.packed(7)[:30]])
def test_datagrams_of_others_are_no_beats(data):
    assert unpacked(data, 7) is None


@pytest.mark.parametrize("ranks", [2, 3, 5])
def test_each_rank_hears_the_one_before_it_and_knows_its_process(rings, ranks):
    made = rings(ranks)
    for rank, ring in enumerate(made):
        ring.tell(Beat(rank=rank, step=rank * 10, what="x"))
    for rank, ring in enumerate(made):
        ring.hear(1.0)
        before = (rank - 1) % ranks
        assert (ring.last.rank, ring.last.step, ring.card.pid) == (before, before * 10, 100 + before)


def test_ranks_of_several_nodes_find_each_other_by_the_name_of_the_node(rings):
    first, second, _ = rings(3, local_size=1)
    first.tell(Beat(rank=0, step=1))
    second.hear(1.0)
    assert second.last == Beat(rank=0, step=1)


def test_node_without_an_address_is_named():
    cards = (Card(host="no-such-node.invalid", port=1, key=1, pid=1),) * 2
    with pytest.raises(RunError, match=r"finds no address of node no-such-node\.invalid"):
        Ring(world_of(0, 4, local_size=2), pid=1, exchange=lambda *_: cards)


def test_rank_that_leaves_is_not_missed(rings):
    first, second, _ = rings(3)
    first.tell(Beat(rank=0, step=1))
    second.hear(1.0)
    leaving = threading.Thread(target=first.leave, args=(1,))
    leaving.start()
    while leaving.is_alive():
        second.hear(0.01)
    assert second.last is None


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_that_leave_together_do_not_wait_for_each_other(rings, monkeypatch, ranks):
    monkeypatch.setattr(heartbeat, "_GOODBYE_S", 60.0)
    made = rings(ranks)
    start = time.monotonic()
    together([lambda ring=ring: ring.leave(1) for ring in made])
    assert time.monotonic() - start < 30


def test_rank_that_leaves_does_not_wait_for_ever_for_one_that_is_dead(rings, monkeypatch):
    monkeypatch.setattr(heartbeat, "_GOODBYE_S", 0.1)
    first, *_ = rings(3)
    start = time.monotonic()
    first.leave(1)
    assert time.monotonic() - start >= 0.1


def test_listening_ends_when_the_rank_wants_to_leave(rings):
    first, _ = rings(2)
    timer = threading.Timer(0.05, first.wake)
    timer.start()
    start = time.monotonic()
    first.hear(60.0)
    timer.join()
    assert time.monotonic() - start < 30
