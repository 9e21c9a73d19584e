"""Watchdog: notices a rank that died, stopped or hangs, names it, ends all.

Each rank has a thread that sends a heartbeat to the next rank of a ring and listens for that of the one before it: the
same work at any number of ranks, whatever they communicate over. Who finds a fault says so and ends the run:

- *Silent*: the rank before sends nothing for the limit. It was killed or stopped, its node is gone, or something holds
  its interpreter for ever.
- *Stuck*: the own main thread has not moved for the limit of what it does (reads a file that never comes, loops). Where
  it may wait for others, its stack tells whether it does.
- *Left waiting*: it has waited in a collective for twice the limit, and who keeps it waiting did not speak up.

Of ranks that find a fault together, the first is given time to speak for all.
"""

import contextlib
import functools
import logging
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from types import FrameType

from fujimi_parallel.heartbeat import Beat, Card, Exchange, Ring, exchange_cards
from fujimi_parallel.works import may_wait
from fujimi_parallel.world import World, stop_all

_log = logging.getLogger(__name__)

_BEATS_A_LIMIT = 16
#: In which the first heartbeat of the rank before should arrive.
_GREETING_S = 5.0
#: Time to end all for the rank that speaks first, before the next would.
_TURN_S = 1.0
#: From when a rank finds a fault until all have ended.
_ENDING_S = 2.0
#: In which the launcher ends this process; MPI's own way may wait for a thread that hangs in it.
_ABORT_S = 5.0
_FRAMES_TOLD = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What a main thread does.

    Args:
        what: In words.
        since_s: Reading of the clock when it began.
        limit_s: After which it is stuck.
        waits: Whether it may wait for other ranks.
        step: Last step that was finished.
    """

    what: str
    since_s: float
    limit_s: float
    waits: bool = False
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What a rank's watchdog sees at one time.

    Args:
        mine: What the own main thread does.
        still_s: For how long it has not moved.
        last: What the rank before said last; None if nothing yet, or if it has left.
        silent_s: How long ago that was.
    """

    mine: Activity
    still_s: float
    last: Beat | None
    silent_s: float


class Fault(Enum):
    """What may be wrong with a rank."""

    SILENT = "the rank before must have died"
    STUCK = "this rank hangs"
    LEFT_WAITING = "others keep this rank waiting"


def fault_in(sight: Sight, *, limit_s: float, rank: int, ranks: int) -> Fault | None:
    """Judge what is seen; a rank that is left waiting speaks after all who could know why.

    Args:
        sight: By this rank.
        limit_s: How long silence is no fault.
        rank: This one.
        ranks: How many there are.
    """
    turn_s = turn_of(rank)
    if sight.last and sight.silent_s > limit_s + turn_s:
        return Fault.SILENT
    if sight.mine.waits:
        turn_s += turn_of(ranks - 1) + _ENDING_S
        return Fault.LEFT_WAITING if sight.still_s > sight.mine.limit_s + turn_s else None
    return Fault.STUCK if sight.still_s > sight.mine.limit_s + turn_s else None


def turn_of(rank: int) -> float:
    """How much longer than a limit a rank waits before it speaks: ``ceil(log2(rank + 1))`` turns of 1 s.

    Never do more ranks speak at once than had their turn before; the last of 158,976 waits 18 s.

    >>> [turn_of(rank) for rank in (0, 1, 2, 3, 4, 158_975)]
    [0.0, 1.0, 2.0, 2.0, 3.0, 18.0]
    """
    return rank.bit_length() * _TURN_S


def end_all(message: str) -> None:
    """Say what is wrong, and end the processes of all ranks.

    Where no launcher takes an order to do so, this process ends itself, and the launcher the others.
    """
    deadline = threading.Timer(_ABORT_S, os._exit, [1])
    deadline.daemon = True
    deadline.start()
    stop_all(1, say=functools.partial(_say, message))
    os._exit(1)


def _say(message: str) -> None:
    sys.stderr.write(f"fujimi: error: {message}\n")
    sys.stderr.flush()


class Watchdog:
    """Watches over this rank and the one before it while the context lasts.

    Ranks may leave at different times. The one before a rank that has left is watched by itself only: let all ranks
    wait for each other at the end, inside the context. Other limits of time, such as that of the process group, should
    be longer than twice the limit, or they speak first.

    Args:
        world: The ranks; with one there is nobody to hear, and a dry run is not watched.
        limit_s: For how long a rank may be silent, or stand still.
        end: Told what is wrong, in another thread; to end the run.
        exchange: Swaps cards with the neighbours, over the default process group (tensors of the CPU) if not given.
    """

    def __init__(
        self,
        world: World,
        *,
        limit_s: float = 300.0,
        end: Callable[[str], None] = end_all,
        exchange: Exchange = exchange_cards,
    ) -> None:
        if not limit_s > 0:
            raise ValueError(f"limit_s is {limit_s}; it must be above 0")
        self._world = world
        self._limit_s = limit_s
        self._end = end
        self._exchange = exchange
        self._ring: Ring | None = None
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._main = threading.get_ident()
        self._activity = Activity(what="starting", since_s=time.monotonic(), limit_s=limit_s, step=0)

    def __enter__(self) -> "Watchdog":
        if self._world.captured:
            return self
        if self._world.size > 1:
            self._ring = Ring(self._world, pid=os.getpid(), exchange=self._exchange)
            self._greet(self._ring)
        self._main = threading.get_ident()
        self.moved(0)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._world.captured:
            return
        self._leaving.set()
        if self._ring:
            self._ring.wake()
        self._thread.join()
        if self._ring:
            self._ring.close()

    def moved(self, step: int) -> None:
        """Note that a step is finished, or that its number is where the run goes on.

        Args:
            step: Its number, from 1.
        """
        self._activity = Activity(what="training", since_s=time.monotonic(), limit_s=self._limit_s, step=step)

    @contextlib.contextmanager
    def doing(self, what: str, *, limit_s: float | None = None, waits: bool = False) -> Iterator[None]:
        """Note what the main thread does in the context; entering and leaving count as a move.

        Args:
            what: For the message, as in "reading a batch".
            limit_s: After which it is stuck, where that is not the limit for all.
            waits: Whether other ranks may be waited for.
        """
        outer, limit_s = self._activity, self._limit_s if limit_s is None else limit_s
        now_s = time.monotonic()
        self._activity = Activity(what=what, since_s=now_s, limit_s=limit_s, waits=waits, step=outer.step)
        try:
            yield
        finally:
            self._activity = replace(outer, since_s=time.monotonic(), step=self._activity.step)

    def waiting(self, what: str, *, limit_s: float | None = None) -> contextlib.AbstractContextManager[None]:
        """As `doing`, for what ends when other ranks join; twice the limit is allowed, as one of them may be stuck.

        Args:
            what: For the message, as in "the sum of gradients".
            limit_s: Where others take their time, as they write a checkpoint.
        """
        return self.doing(what, limit_s=2 * self._limit_s if limit_s is None else limit_s, waits=True)

    def _greet(self, ring: Ring) -> None:
        """Find out whether the rank before can be heard at all; its silence means nothing otherwise."""
        end = time.monotonic() + _GREETING_S
        while not ring.last and time.monotonic() < end:
            self._beat(time.monotonic())
            ring.hear(_GREETING_S / 20)
        if not ring.last:
            _log.warning(
                "no heartbeat of rank %d on %s reaches rank %d on %s, so that its death would go unnoticed; "
                "let UDP datagrams pass between the nodes",
                ring.before,
                ring.card.host,
                self._world.rank,
                socket.gethostname(),
            )

    def _watch(self) -> None:
        """Beat and judge until this rank leaves or a fault is found."""
        rank, ranks = self._world.rank, self._world.size
        now_s = beat_due_s = awake_since_s = time.monotonic()
        while not self._leaving.is_set():
            if now_s >= beat_due_s:
                self._beat(now_s)
                beat_due_s = now_s + self._limit_s / _BEATS_A_LIMIT
            self._listen(beat_due_s - now_s)
            before_s, now_s = now_s, time.monotonic()
            if now_s - before_s > self._limit_s / 2:
                awake_since_s = now_s  # this process was stopped; what it missed is nobody's fault
            sight = self._sight(now_s, awake_since_s)
            if fault := fault_in(sight, limit_s=self._limit_s, rank=rank, ranks=ranks):
                self._end(f"{self._told(fault, sight)}; all ranks end")
                return
        if self._ring:
            self._ring.leave(self._activity.step)

    def _beat(self, now_s: float) -> None:
        if self._ring:
            mine = self._activity
            still_s = now_s - mine.since_s
            self._ring.tell(Beat(rank=self._world.rank, step=mine.step, still_s=still_s, what=mine.what))

    def _listen(self, timeout_s: float) -> None:
        if self._ring:
            self._ring.hear(timeout_s)
        else:
            self._leaving.wait(timeout_s)

    def _sight(self, now_s: float, awake_since_s: float) -> Sight:
        mine, ring = self._activity, self._ring
        if mine.waits and not may_wait(self._frame()):
            mine = replace(mine, waits=False)
        return Sight(
            mine=mine,
            still_s=now_s - max(mine.since_s, awake_since_s),
            last=ring.last if ring else None,
            silent_s=now_s - max(ring.heard_s, awake_since_s) if ring else 0.0,
        )

    def _frame(self) -> FrameType | None:
        """Where the main thread is."""
        return sys._current_frames().get(self._main)

    def _told(self, fault: Fault, sight: Sight) -> str:
        if fault is Fault.SILENT and self._ring and sight.last:
            return told_silent(sight.last, self._ring.card, silent_s=sight.silent_s)
        me = f"rank {self._world.rank} (pid {os.getpid()} on {socket.gethostname()})"
        place = _place(self._frame())
        state = f"for {sight.still_s:.1f} s it is {_state(sight.mine.what, sight.mine.step)}, {place}"
        if fault is Fault.STUCK:
            return f"{me} hangs: {state}"
        return f"{me} waits in vain, and no rank says that it hangs; do all call the same collectives? {state}"


def told_silent(last: Beat, card: Card, *, silent_s: float) -> str:
    """Word a rank's silence.

    Args:
        last: What it said last.
        card: Who it is.
        silent_s: How long ago that was.
    """
    return (
        f"rank {last.rank} (pid {card.pid} on {card.host}) is silent for {silent_s:.1f} s: it was killed or stopped, "
        "its node is gone, or something holds its interpreter; when last heard it was "
        f"{_state(last.what, last.step)} for {last.still_s:.1f} s"
    )


def _state(what: str, step: int) -> str:
    return f"at {what!r} after step {step}"


def _place(frame: FrameType | None) -> str:
    """Where a thread is, innermost call first."""
    calls = traceback.extract_stack(frame)[: -_FRAMES_TOLD - 1 : -1] if frame else []
    return "in " + ", called by ".join(f"{call.name} ({Path(call.filename).name}:{call.lineno})" for call in calls)
