"""Meetings and mailboxes alone: who waits for whom, and until when."""

from collections.abc import Generator
from typing import Any

import numpy as np
import pytest
import simpy
from fujimi_core.errors import WorkloadError
from fujimi_core.mesh import Mesh
from fujimi_core.workload import Collective, CollectiveKind, Recv, Role, Send
from fujimi_sim.meetings import Mailboxes, Meetings, Seconds

MESH = Mesh.of(pp=2, dp=2)
STAGES = [Role(name=name, where={"pp": (at, at + 1)}, events=()) for at, name in enumerate(("first", "last"))]


def reduce(*axes: str, nbytes: int = 8) -> Collective:
    return Collective(kind=CollectiveKind.ALL_REDUCE, nbytes=nbytes, axes=axes, dtype="float32")


def times(*seconds: float) -> Seconds:
    return np.array(seconds, float)


class Rendezvous:
    """Roles that come to meetings and post, each when it is told to, and what they learn there."""

    def __init__(self) -> None:
        self.env = simpy.Environment()
        self.meetings = Meetings(self.env, MESH, STAGES)
        self.mailboxes = Mailboxes(self.env, MESH, STAGES)
        self.heard: dict[str, Any] = {}

    def do(self, name: str, visit: Generator[Any, Any, Any], after: float = 0.0) -> None:
        def process() -> Generator[Any, Any, None]:
            yield self.env.timeout(after)
            self.heard[name] = yield from visit

        self.env.process(process())


@pytest.fixture
def there() -> Rendezvous:
    return Rendezvous()


def test_group_of_two_stages_starts_when_the_later_rank_is_ready(there: Rendezvous) -> None:
    there.do("first", there.meetings.meet(0, reduce("pp"), times(1, 5)), after=3)
    there.do("last", there.meetings.meet(1, reduce("pp"), times(2, 4)))
    there.env.run()
    assert there.heard["first"].tolist() == there.heard["last"].tolist() == [2, 5]


def test_all_groups_of_a_role_start_when_each_is_ready(there: Rendezvous) -> None:
    there.do("first", there.meetings.meet(0, reduce("dp"), times(1, 5)))
    there.do("alone", there.meetings.meet(1, reduce(), times(7, 3)))
    there.env.run()
    assert there.heard["first"].tolist() == [5, 5]
    assert there.heard["alone"].tolist() == [7, 3]


def test_order_in_which_axes_are_named_does_not_matter(there: Rendezvous) -> None:
    there.do("first", there.meetings.meet(0, reduce("pp", "dp"), times(1, 5)))
    there.do("last", there.meetings.meet(1, reduce("dp", "pp"), times(2, 4)))
    there.env.run()
    assert there.heard["first"].tolist() == there.heard["last"].tolist() == [5, 5]


def test_who_comes_twice_meets_the_first_visit_first(there: Rendezvous) -> None:
    there.do("early", there.meetings.meet(0, reduce("pp"), times(1, 1)))
    there.do("again", there.meetings.meet(0, reduce("pp"), times(10, 10)), after=1)
    there.do("other", there.meetings.meet(1, reduce("pp"), times(2, 2)), after=2)
    there.env.run()
    assert there.heard["early"].tolist() == [2, 2]
    assert "again" not in there.heard


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (reduce("pp", nbytes=2_000), "the other for all_reduce of 2,000 B"),
        (
            Collective(kind=CollectiveKind.BARRIER, nbytes=8, axes=("pp",), dtype="float32"),
            "one for all_reduce of 8 B, the other for barrier of 8 B",
        ),
    ],
)
def test_roles_that_come_for_different_things_are_refused(there: Rendezvous, other: Collective, words: str) -> None:
    there.do("first", there.meetings.meet(0, reduce("pp"), times(1, 1)))
    there.do("last", there.meetings.meet(1, other, times(1, 1)))
    with pytest.raises(WorkloadError, match=f"roles 'first' and 'last' meet along pp, .*{words}"):
        there.env.run()


def test_others_are_named(there: Rendezvous) -> None:
    assert there.meetings.others(0, reduce("pp")) == ["last"]
    assert there.meetings.others(0, reduce("dp")) == []
    assert there.mailboxes.senders(1, Recv(nbytes=1, axis="pp", offset=-1)) == ["first"]
    assert there.mailboxes.senders(0, Recv(nbytes=1, axis="pp", offset=-1)) == []


FORWARD, FROM_BEFORE = Send(nbytes=8, axis="pp", offset=1), Recv(nbytes=8, axis="pp", offset=-1)


def test_message_is_under_way_from_when_its_sender_is_ready(there: Rendezvous) -> None:
    assert there.mailboxes.post(0, FORWARD, times(1, 5), 2.0).tolist() == [3, 7]
    there.do("last", there.mailboxes.receive(1, FROM_BEFORE, times(0, 0)))
    there.env.run()
    start, end = there.heard["last"]
    assert (start.tolist(), end.tolist()) == ([1, 5], [3, 7])


def test_receiver_that_is_late_finds_its_message_or_the_rest_of_it(there: Rendezvous) -> None:
    there.mailboxes.post(0, FORWARD, times(1, 1), 2.0)
    there.do("last", there.mailboxes.receive(1, FROM_BEFORE, times(2, 9)))
    there.env.run()
    start, end = there.heard["last"]
    assert (start.tolist(), end.tolist()) == ([2, 9], [3, 9])


def test_messages_arrive_in_the_order_in_which_they_were_sent(there: Rendezvous) -> None:
    for when in (1, 4):
        there.mailboxes.post(0, FORWARD, times(when, when), 0.0)
    there.do("one", there.mailboxes.receive(1, FROM_BEFORE, times(0, 0)))
    there.do("two", there.mailboxes.receive(1, FROM_BEFORE, times(0, 0)), after=1)
    there.env.run()
    assert [there.heard[name][1].tolist() for name in ("one", "two")] == [[1, 1], [4, 4]]
    assert there.mailboxes.unread() == []


def test_ranks_at_the_end_of_the_mesh_send_and_receive_nothing_in_no_time(there: Rendezvous) -> None:
    assert there.mailboxes.post(1, FORWARD, times(1, 5), 2.0).tolist() == [1, 5]
    there.do("first", there.mailboxes.receive(0, FROM_BEFORE, times(3, 4)))
    there.env.run()
    start, end = there.heard["first"]
    assert start.tolist() == end.tolist() == [3, 4]
    assert there.mailboxes.unread() == []


def test_message_of_another_size_is_refused(there: Rendezvous) -> None:
    there.mailboxes.post(0, FORWARD, times(1, 5), 2.0)
    there.do("last", there.mailboxes.receive(1, Recv(nbytes=4_000, axis="pp", offset=-1), times(0, 0)))
    with pytest.raises(WorkloadError, match="'last' waits for 4,000 B along pp, but role 'first' sends 8 B"):
        there.env.run()


def test_message_that_nobody_reads_is_told(there: Rendezvous) -> None:
    there.mailboxes.post(0, FORWARD, times(1, 5), 2.0)
    assert there.mailboxes.unread() == ["role 'first' sends 1 more along pp (+1) than role 'last' receives"]
