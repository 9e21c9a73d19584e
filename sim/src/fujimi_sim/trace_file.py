"""Chrome traces: a timeline for https://ui.perfetto.dev and chrome://tracing."""

import json
from collections.abc import Iterator
from typing import Any

from fujimi_core.units import count_of
from fujimi_core.workload import Stream

from fujimi_sim.timeline import Slice, Timeline, Track


def trace(timeline: Timeline, *, title: str) -> bytes:
    """Write a timeline as JSON: a process a role, a thread a stream, microseconds.

    Args:
        timeline: What is written.
        title: What was simulated.

    Source:
        Google, "Trace Event Format", 2016: complete events (``X``) and metadata events (``M``).
    """
    events = [event for index, track in enumerate(timeline.tracks) for event in _track(track, index)]
    table = {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"title": title, "step_s": timeline.step_s}}
    return json.dumps(table).encode()


def _track(track: Track, process: int) -> Iterator[dict[str, Any]]:
    stands_for = f"rank {track.rank:,}" + (f" for {count_of(track.ranks, 'rank')}" if track.ranks > 1 else "")
    yield _named("process_name", f"{track.role} ({stands_for})", process)
    yield {"ph": "M", "name": "process_sort_index", "pid": process, "args": {"sort_index": process}}
    for thread, stream in enumerate(Stream):
        yield _named("thread_name", stream.value, process, thread)
    threads = {stream: thread for thread, stream in enumerate(Stream)}
    for each in track.slices:
        yield _complete(each, process, threads[each.stream])


def _named(what: str, name: str, process: int, thread: int = 0) -> dict[str, Any]:
    return {"ph": "M", "name": what, "pid": process, "tid": thread, "args": {"name": name}}


def _complete(each: Slice, process: int, thread: int) -> dict[str, Any]:
    return {
        "ph": "X",
        "name": each.name,
        "cat": each.what.value,
        "ts": 1e6 * each.start_s,
        "dur": 1e6 * (each.end_s - each.start_s),
        "pid": process,
        "tid": thread,
        "args": dict(each.details),
    }
