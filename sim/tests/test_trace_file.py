"""Chrome traces: the fields that the format asks for, in microseconds."""

import json

from fujimi_core.workload import Stream
from fujimi_sim.timeline import Slice, Timeline, Track, What
from fujimi_sim.trace_file import trace

COMMUNICATION = Slice(
    stream=Stream.COMMUNICATION,
    what=What.COMMUNICATION,
    name="all_reduce 3 B along dp",
    start_s=0.25,
    end_s=0.5,
    details={"bytes": 3, "phase": "backward", "algorithm": "ring"},
)
WAIT = Slice(stream=Stream.COMPUTE, what=What.WAIT, name="waits", start_s=0.0, end_s=1.0)
TWO_ROLES = Timeline(
    step_s=1.0,
    tracks=(
        Track(role="first", rank=0, ranks=1, slices=(WAIT,)),
        Track(role="others", rank=1, ranks=4_095, slices=(COMMUNICATION,)),
    ),
)


def test_slice_is_a_complete_event_of_its_role_and_stream() -> None:
    events = json.loads(trace(TWO_ROLES, title="t"))["traceEvents"]
    wait, communication = (event for event in events if event["ph"] == "X")
    assert communication == {
        "ph": "X",
        "name": "all_reduce 3 B along dp",
        "cat": "communication",
        "ts": 250_000.0,
        "dur": 250_000.0,
        "pid": 1,
        "tid": 1,
        "args": {"bytes": 3, "phase": "backward", "algorithm": "ring"},
    }
    assert (wait["cat"], wait["pid"], wait["tid"], wait["dur"]) == ("wait", 0, 0, 1e6)


def test_processes_say_which_rank_they_show_and_threads_which_stream() -> None:
    table = json.loads(trace(TWO_ROLES, title="tiny on toy"))
    names = [event["args"]["name"] for event in table["traceEvents"] if event["name"] == "process_name"]
    assert names == ["first (rank 0)", "others (rank 1 for 4,095 ranks)"]
    threads = {
        (event["pid"], event["tid"]): event["args"]["name"]
        for event in table["traceEvents"]
        if event["name"] == "thread_name"
    }
    assert threads == {
        (0, 0): "compute",
        (0, 1): "communication",
        (0, 2): "sending",
        (1, 0): "compute",
        (1, 1): "communication",
        (1, 2): "sending",
    }
    assert table["otherData"] == {"title": "tiny on toy", "step_s": 1.0}
