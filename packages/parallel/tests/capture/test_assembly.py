"""Steps put together from parts, by hand."""

from fujimi_core.workload import Collective, CollectiveKind, Event, Kernel
from fujimi_parallel.capture.assembly import Mark, assemble
from fujimi_parallel.capture.memory import Alive


def kernel(name: str, *waits: int) -> Kernel:
    return Kernel(op=name, dtype="float32", flops=0, nbytes=0, waits=waits)


def reduce(*waits: int) -> Collective:
    return Collective(kind=CollectiveKind.ALL_REDUCE, nbytes=4, axes=("dp",), dtype="float32", waits=waits)


def mark(part, event, alive=0, peak=0):
    return Mark(part=part, event=event, alive=Alive(activations=alive), peak=Alive(activations=peak))


def names(events: tuple[Event, ...]) -> list[tuple[str, tuple[int, ...]]]:
    return [(event.op if isinstance(event, Kernel) else event.kind.value, event.waits) for event in events]


def test_parts_are_repeated_between_what_comes_before_and_after():
    events = [kernel("begin"), kernel("a"), kernel("b"), kernel("end")]
    marks = [mark("A", 1), mark("B", 2), mark(None, 3)]
    made = assemble(events, marks, ["A", "A", "B", "A", None], peak=Alive())
    assert [name for name, _ in names(made.events)] == ["begin", "a", "a", "b", "a", "end"]


def test_waits_inside_a_part_move_along():
    events = [kernel("a"), reduce(0), kernel("b", 1)]
    made = assemble(events, [mark("A", 0), mark(None, 3)], ["A", "A", None], peak=Alive())
    assert names(made.events) == [
        ("a", ()),
        ("all_reduce", (0,)),
        ("b", (1,)),
        ("a", ()),
        ("all_reduce", (3,)),
        ("b", (4,)),
    ]


def test_wait_for_another_part_is_for_its_latest_copy():
    events = [reduce(), kernel("b", 0), kernel("c", 0)]
    marks = [mark("A", 0), mark("B", 1), mark(None, 2)]
    made = assemble(events, marks, ["A", "B", "A", "B", None], peak=Alive())
    assert names(made.events) == [("all_reduce", ()), ("b", (0,)), ("all_reduce", ()), ("b", (2,)), ("c", (2,))]


def test_wait_for_the_last_kernel_before_a_part_is_for_whatever_that_is_now():
    events = [kernel("a"), reduce(0), kernel("b")]
    marks = [mark("A", 0), mark("B", 1), mark(None, 3)]
    made = assemble(events, marks, ["A", "B", "B", None], peak=Alive())
    assert names(made.events) == [("a", ()), ("all_reduce", (0,)), ("b", ()), ("all_reduce", (2,)), ("b", ())]


def test_at_first_there_may_be_nothing_to_wait_for():
    events = [reduce(), kernel("b", 0)]
    marks = [mark("A", 0), mark("B", 1), mark(None, 2)]
    assert names(assemble(events, marks, ["B", "A", None], peak=Alive()).events) == [("b", ()), ("all_reduce", ())]


def test_memory_adds_up_over_the_parts():
    # forward leaves 10 B and needs 3 B besides, backward frees 10 B and needs 5 B
    marks = [mark("F", 0, 100, 100), mark("B", 0, 110, 113), mark(None, 0, 100, 115)]
    assert assemble([], marks, ["F", "B", None], peak=Alive(100)).peak.total == 115
    assert assemble([], marks, ["F", "F", "F", "B", "B", "B", None], peak=Alive(100)).peak.total == 135
    assert assemble([], marks, ["F", "B", None], peak=Alive(900)).peak.total == 900
