import itertools
from dataclasses import replace

import pytest
from fujimi_core.errors import JobError
from fujimi_core.job import Job, Offload, Recompute, Schedule
from fujimi_core.plan import plan_of
from fujimi_sim.planner.space import (
    Candidate,
    Layout,
    Rhythm,
    Size,
    Thrift,
    is_refused,
    job_of,
    layouts,
    placements,
    rhythms,
    thrifts,
)


def size(ranks: int, *, devices: int = 1, depth: int = 8, fewer: bool = False) -> Size:
    return Size(ranks=ranks, devices=devices, depth=depth, sequence=1, fewer=fewer, offloads=True)


def of_batch(job: Job, batch: int) -> Job:
    return replace(job, train=replace(job.train, global_batch=batch))


def test_layouts_take_as_many_ranks_as_divide_the_batch(job: Job) -> None:
    found = {layout.pipeline: layout.data for layout in layouts(of_batch(job, 12), size(16, depth=3), tensor=2)}
    assert found == {1: 6, 2: 4, 3: 2}


def test_layouts_use_nodes_whole(job: Job) -> None:
    found = list(layouts(of_batch(job, 24), size(24, devices=4, depth=4, fewer=True), tensor=3))
    assert found
    assert all(layout.ranks % 4 == 0 for layout in found)
    assert Layout(3, 1, 1, 8) in found
    assert Layout(3, 4, 1, 1) in found


def test_fewer_ranks_are_looked_at_where_ranks_cost_something(job: Job) -> None:
    ranks = [layout.ranks for layout in layouts(of_batch(job, 8), size(8, depth=1, fewer=True), tensor=1)]
    assert ranks == [1, 2, 4, 8]


def test_every_plan_is_one_that_the_job_can_have(job: Job) -> None:
    whole = size(8)
    plans = 0
    for layout in itertools.chain(*(layouts(of_batch(job, 24), whole, tensor=number) for number in (1, 2, 4))):
        batch = of_batch(job, 24).batch_on(layout.data)
        for rhythm in rhythms(layout, whole, batch=batch):
            if is_refused(layout, rhythm, batch=batch):
                continue
            candidate = Candidate(layout, rhythm, thrifts(layout, rhythm, whole)[-1])
            plan = plan_of(job_of(of_batch(job, 24), candidate), layout.ranks)
            assert plan.mesh.world_size == layout.ranks
            assert plan.microbatch == rhythm.microbatch
            plans += 1
    assert plans > 100


@pytest.mark.parametrize("batch", [4, 6])
def test_rhythms_are_refused_just_where_a_plan_is(job: Job, batch: int) -> None:
    layout = Layout(1, 4, 1, 1)
    for rhythm in rhythms(layout, size(4), batch=batch):
        plan = job_of(of_batch(job, batch), Candidate(layout, rhythm, Thrift(0, Recompute.NONE, Offload.NONE)))
        if is_refused(layout, rhythm, batch=batch):
            with pytest.raises(JobError, match="interleaved stages want microbatches in multiples"):
                plan_of(plan, 4)
        else:
            assert plan_of(plan, 4).microbatch == rhythm.microbatch


def test_orders_of_axes_that_come_to_the_same_are_one() -> None:
    assert placements(Layout(1, 1, 1, 8)) == [("pp", "sp", "tp", "dp")]
    found = placements(Layout(2, 4, 1, 8))
    assert found[0] == ("sp", "pp", "dp", "tp")
    assert len(found) == 6


PLAIN = Rhythm(Schedule.ONE_F_ONE_B, 1, 1)


def test_nothing_is_shared_with_nobody() -> None:
    assert {each.zero for each in thrifts(Layout(2, 2, 1, 1), PLAIN, size(8))} == {0}
    assert {each.zero for each in thrifts(Layout(2, 2, 1, 2), PLAIN, size(8))} == {0, 1, 2, 3}


def test_first_half_of_the_blocks_can_be_computed_again_in_a_pipeline() -> None:
    assert (0, 1, 2, 3) in {each.recompute for each in thrifts(Layout(1, 2, 1, 1), PLAIN, size(8))}
    assert {each.recompute for each in thrifts(Layout(1, 1, 1, 2), PLAIN, size(8))} == set(Recompute) - {
        Recompute.WHOLE
    }


def test_activations_that_are_kept_on_purpose_are_not_offloaded() -> None:
    late = Rhythm(Schedule.ZERO_BUBBLE, 1, 1)
    assert {each.offload for each in thrifts(Layout(1, 2, 1, 1), late, size(8))} == {Offload.NONE, Offload.OPTIMIZER}
    ways = thrifts(Layout(1, 2, 1, 1), PLAIN, size(8))
    assert Thrift(0, Recompute.SELECTIVE, Offload.ALL) not in ways
    assert Thrift(0, Recompute.FULL, Offload.ALL) in ways


def test_machine_from_which_nothing_can_be_offloaded_offloads_nothing() -> None:
    ways = thrifts(Layout(1, 2, 1, 1), PLAIN, replace(size(8), offloads=False))
    assert {each.offload for each in ways} == {Offload.NONE}
