"""Heartbeats: each rank tells the next one of a ring that it lives.

A rank knows two others, whatever their number. Beats are datagrams of about 50 bytes; one that is lost is made up for
by the next. Each rank draws a key and gives it to its two neighbours, so that beats of another run do not count.
"""

import contextlib
import json
import secrets
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import IntEnum
from typing import TypeAlias

import torch
import torch.distributed as dist
from fujimi_core.errors import RunError

from fujimi_parallel.works import wait_for
from fujimi_parallel.world import World

#: Key of the hearer, kind, rank, step, seconds without a move; what the rank does follows as text.
_HEAD = struct.Struct("!QBQqd")
_WHAT_NBYTES = 200
#: Of a card, padded; a host's full name has at most 255 characters.
_CARD_NBYTES = 512
#: For how long a rank that leaves waits for its neighbour to have heard so.
_GOODBYE_S = 1.0


class Kind(IntEnum):
    """What a datagram says."""

    ALIVE = 0
    GOODBYE = 1
    HEARD_GOODBYE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What a rank says of itself.

    Args:
        kind: That it lives, that it leaves, or that it heard another one leave.
        rank: Who speaks.
        step: Last step that it finished.
        still_s: For how long its main thread has not moved.
        what: What the main thread does.
    """

    kind: Kind = Kind.ALIVE
    rank: int
    step: int
    still_s: float = 0.0
    what: str = ""

    def packed(self, key: int) -> bytes:
        """Bytes for the rank that gave this key."""
        what = self.what.encode()[:_WHAT_NBYTES]
        return _HEAD.pack(key, self.kind, self.rank, self.step, self.still_s) + what


def unpacked(data: bytes, key: int) -> Beat | None:
    """Read a datagram; None if it was not meant for who has this key."""
    if len(data) < _HEAD.size:
        return None
    found, kind, rank, step, still_s = _HEAD.unpack_from(data)
    if found != key:
        return None
    what = data[_HEAD.size :].decode(errors="replace")
    return Beat(kind=Kind(kind), rank=rank, step=step, still_s=still_s, what=what)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """How to reach a rank.

    Args:
        host: Name of its node.
        port: Where it listens.
        key: What a datagram to it begins with.
        pid: Its process.
    """

    host: str
    port: int
    key: int
    pid: int


Exchange: TypeAlias = Callable[[Card, int, int], tuple[Card, Card]]


def exchange_cards(mine: Card, before: int, after: int) -> tuple[Card, Card]:
    """Give the own card to both neighbours, and get theirs, over the default process group.

    Args:
        mine: The own card.
        before: Rank before this one in the ring.
        after: Rank after it.

    Returns:
        Cards of the rank before and of the rank after.
    """
    sent = _to_tensor(mine)
    got = [torch.empty_like(sent) for _ in range(2)]
    neighbours = (before, after)
    swaps = [dist.P2POp(dist.isend, sent, peer) for peer in neighbours]
    swaps += [dist.P2POp(dist.irecv, card, peer) for card, peer in zip(got, neighbours, strict=True)]
    for work in dist.batch_isend_irecv(swaps):
        wait_for(work)
    return _to_card(got[0]), _to_card(got[1])


def _to_tensor(card: Card) -> torch.Tensor:
    text = json.dumps(asdict(card)).encode().ljust(_CARD_NBYTES)
    return torch.frombuffer(bytearray(text), dtype=torch.uint8)


def _to_card(tensor: torch.Tensor) -> Card:
    return Card(**json.loads(bytes(tensor.tolist())))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """Where to send, and the key of who listens there."""

    key: int
    address: tuple[str, int]


class Ring:
    """This rank's place in the ring; to be closed.

    Args:
        world: The ranks, at least 2.
        pid: Process that the neighbours name if this rank falls silent.
        exchange: Swaps cards with the neighbours.

    Attributes:
        card: Of the rank before.
        last: What it said last; None if nothing yet, or if it has left.
        heard_s: Reading of the clock when it said so, or when the ring was made.

    Raises:
        RunError: If a neighbour's node has no address.
    """

    def __init__(self, world: World, *, pid: int, exchange: Exchange = exchange_cards) -> None:
        self._rank = world.rank
        self.before, self._after = (world.rank - 1) % world.size, (world.rank + 1) % world.size
        one_node = world.local_size == world.size
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1" if one_node else "", 0))
        self._socket.setblocking(False)
        host, port = socket.gethostname(), self._socket.getsockname()[1]
        self._mine = Card(host=host, port=port, key=secrets.randbits(64), pid=pid)
        try:
            self.card, card_after = exchange(self._mine, self.before, self._after)
            self._to_before = _way(self.card, one_node=one_node)
            self._to_after = _way(card_after, one_node=one_node)
        except BaseException:
            self._socket.close()
            raise
        self.last: Beat | None = None
        self.heard_s = time.monotonic()
        self._before_left = self._after_left = self._goodbye_heard = False

    def tell(self, beat: Beat) -> None:
        """Send a beat to the rank after this one."""
        self._send(beat, self._to_after)

    def hear(self, timeout_s: float) -> None:
        """Take what has come; wait for something if there is nothing."""
        if select.select([self._socket], [], [], max(timeout_s, 0.0))[0]:
            for beat in self._pending():
                self._take(beat)

    def wake(self) -> None:
        """End a `hear` of another thread."""
        self._socket.sendto(b"", ("127.0.0.1", self._mine.port))

    def leave(self, step: int) -> None:
        """Say goodbye, and stay until the rank after this one has heard it, or has left itself; a second at most."""
        goodbye = Beat(kind=Kind.GOODBYE, rank=self._rank, step=step)
        end = time.monotonic() + _GOODBYE_S
        while not self._goodbye_heard and not self._after_left and time.monotonic() < end:
            self._send(goodbye, self._to_before)
            self._send(goodbye, self._to_after)
            self.hear(_GOODBYE_S / 20)

    def close(self) -> None:
        """Let go of the port."""
        self._socket.close()

    def _take(self, beat: Beat) -> None:
        if beat.kind is Kind.HEARD_GOODBYE:
            self._goodbye_heard = True
        elif beat.kind is Kind.GOODBYE:
            self._after_left |= beat.rank == self._after
            if beat.rank == self.before:
                self._before_left, self.last = True, None
                self._send(Beat(kind=Kind.HEARD_GOODBYE, rank=self._rank, step=0), self._to_before)
        elif not self._before_left:
            self.last, self.heard_s = beat, time.monotonic()

    def _send(self, beat: Beat, way: _Way) -> None:
        with contextlib.suppress(OSError):  # as a lost datagram: the next one may arrive
            self._socket.sendto(beat.packed(way.key), way.address)

    def _pending(self) -> list[Beat]:
        beats = []
        with contextlib.suppress(BlockingIOError):
            while True:
                beats.append(unpacked(self._socket.recv(_HEAD.size + _WHAT_NBYTES), self._mine.key))
        return [beat for beat in beats if beat]


def _way(card: Card, *, one_node: bool) -> _Way:
    if one_node:
        return _Way(key=card.key, address=("127.0.0.1", card.port))
    try:
        return _Way(key=card.key, address=(socket.gethostbyname(card.host), card.port))
    except OSError as wrong:
        raise RunError(
            f"node {socket.gethostname()} finds no address of node {card.host}: {wrong}; the nodes must know each "
            "other by the names that 'hostname' prints on them"
        ) from None
