"""Puts a step together from parts, each of which was recorded a few times only."""

import itertools
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

from fujimi_core.workload import Event, Kernel

from fujimi_parallel.capture.memory import Alive


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Where a part begins in a recording.

    Args:
        part: Which; None for what is between passes, and after them.
        event: Index of its first event.
        alive: Memory then.
        peak: Most memory since the mark before.
    """

    part: Hashable | None
    event: int
    alive: Alive
    peak: Alive


@dataclass(frozen=True, slots=True, kw_only=True)
class _Recorded:
    """A part as it was recorded: where its events begin, the last time and before, and what it does to memory."""

    starts: list[int]
    length: int
    more: Alive
    peak: Alive


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembled:
    """All of a step.

    Args:
        events: In order.
        peak: Most memory at any time.
    """

    events: tuple[Event, ...]
    peak: Alive


def assemble(events: Sequence[Event], marks: Sequence[Mark], parts: Sequence[Hashable], *, peak: Alive) -> Assembled:
    """A step that does all parts, from one that did each of them once or more.

    What comes before the first mark and after the last is as it was. An event that waits for one outside of its part
    waits for the latest that was made of it, or for the last event before the part if it did so in the recording.

    Args:
        events: Recorded.
        marks: In order; the last is None.
        parts: All, in order; None after each pass, and so at the end.
        peak: Most memory after the last mark.
    """
    recorded: dict[Hashable, _Recorded] = {}
    for mark, following in itertools.pairwise(marks):
        before = recorded[mark.part].starts if mark.part in recorded else []
        recorded[mark.part] = _Recorded(
            starts=[*before, mark.event],
            length=following.event - mark.event,
            more=following.alive - mark.alive,
            peak=following.peak - mark.alive,
        )
    first, last = marks[0], marks[-1]
    copy = _Copy(events, first.event)
    alive, peaks = first.alive, [first.peak]
    for part in parts[:-1]:
        piece = recorded[part]
        peaks.append(alive + piece.peak)
        alive += piece.more
        copy.append(piece.starts, piece.length)
    copy.append([last.event], len(events) - last.event)
    peaks.append(alive + peak - last.alive)
    return Assembled(events=tuple(copy.made), peak=max(peaks, key=lambda each: each.total))


class _Copy:
    """Events that were copied so far."""

    def __init__(self, events: Sequence[Event], start: int) -> None:
        self.made = list(events[:start])
        self._events = events
        self._latest = list(range(start)) + [-1] * (len(events) - start)  # where the latest copy of each event is

    def append(self, starts: Sequence[int], length: int) -> None:
        """Copy what begins at the last of the starts, and stands for what begins at the others; waits move along."""
        start, stop = starts[-1], starts[-1] + length
        shift = len(self.made) - start
        then, now = _last_kernel(self._events, start), _last_kernel(self.made, len(self.made))
        for index in range(start, stop):
            event = self._events[index]
            moved = {
                wait + shift if wait >= start else now if wait == then else self._latest[wait] for wait in event.waits
            }
            waits = tuple(sorted(moved - {-1}))  # at first there may be nothing to wait for
            self.made.append(event if waits == event.waits else replace(event, waits=waits))
        for each in starts:
            self._latest[each : each + length] = range(start + shift, stop + shift)


def _last_kernel(events: Sequence[Event], stop: int) -> int:
    return next((index for index in range(stop - 1, -1, -1) if isinstance(events[index], Kernel)), -1)
