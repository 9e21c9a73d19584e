from fujimi_sim.breakdown import Part
from fujimi_sim.planner.why import why
from fujimi_sim.simulation import Point


def point(compute_s: float, exposed_s: float, idle_s: float, *parts: Part, samples: int = 8) -> Point:
    step_s = compute_s + exposed_s + idle_s
    return Point(
        nodes=1,
        ranks=1,
        step_s=step_s,
        compute_s=compute_s,
        communication_s=exposed_s,
        exposed_communication_s=exposed_s,
        idle_s=idle_s,
        samples_per_s=samples / step_s,
        flops_per_s=1.0,
        fraction_of_peak=0.1,
        parallel_efficiency=1.0,
        memory_bytes_per_rank=1,
        memory_fits=True,
        breakdown=parts,
    )


def reduce_along(axis: str, seconds: float, nbytes: int = 100) -> Part:
    return Part(
        name="all_reduce", phase="forward", axes=(axis,), buffer_bytes=nbytes, count=1, nbytes=1, seconds=seconds
    )


def test_bubble_is_told_as_idling() -> None:
    assert why(point(5, 1, 3), point(5, 1, 1)) == "+2 s: idling, for other ranks +2 s"


def test_collectives_of_one_axis_count_together_whatever_their_size() -> None:
    slow = point(5, 3, 0, reduce_along("tp", 2, 100), reduce_along("tp", 2, 200), reduce_along("dp", 3))
    fast = point(5, 1, 0, reduce_along("tp", 1, 100), reduce_along("dp", 1))
    assert why(slow, fast) == "+2 s: exposed communication +2 s (all_reduce along tp +3 s)"


def test_parts_that_get_shorter_are_left_out_and_the_longest_comes_first() -> None:
    kernel = Part(name="aten.mm", phase="backward", count=1, nbytes=1, seconds=5)
    assert why(point(6, 3, 0, kernel), point(4, 0, 2)) == (
        "+3 s: exposed communication +3 s, compute +2 s (aten.mm backward +5 s)"
    )


def test_steps_of_other_batches_are_compared_by_sample() -> None:
    assert why(point(10, 0, 2, samples=16), point(4, 0, 1, samples=8)) == "+1 s: compute +1 s"
