import re
from copy import deepcopy

import pytest
from fujimi_core.errors import JobError
from fujimi_core.job import from_table
from fujimi_core.mesh import Mesh
from fujimi_core.plan import Plan, deal_blocks, plan_of
from hypothesis import assume, given
from hypothesis import strategies as st


@pytest.fixture
def plan(job_table):
    """Makes the plan of a job with some entries in ``[parallel]`` or ``[train]``."""

    def make(ranks, parallel=None, train=None):
        table = deepcopy(job_table) | {"parallel": parallel or {}}
        if train:
            table["train"] = {"steps": 1, **train}
        return plan_of(from_table(table), ranks)

    return make


def test_without_other_axes_all_ranks_have_different_samples(plan):
    found = plan(16)
    assert found.mesh == Mesh.of(pp=1, dp=16, sp=1, tp=1)
    assert (found.batch, found.microbatch, found.microbatches, found.accumulate) == (4, 4, 1, 1)
    assert found.global_batch == 64


def test_data_axis_takes_the_ranks_that_the_others_leave(plan):
    found = plan(48, {"tensor": 2, "pipeline": 3, "sequence": 2}, {"global_batch": 64})
    assert [found.extent(axis) for axis in ("dp", "pp", "sp", "tp")] == [4, 3, 2, 2]
    assert found.batch == 16
    assert found.global_batch == 64


def test_batch_of_each_rank_is_that_of_each_group_with_different_samples(plan):
    found = plan(8, {"tensor": 4}, {"batch_per_rank": 10})
    assert (found.batch, found.global_batch) == (10, 20)


def test_placement_is_the_order_of_axes(plan):
    found = plan(8, {"tensor": 2, "pipeline": 2, "placement": ["tp", "sp", "dp", "pp"]})
    assert found.mesh.names == ("tp", "sp", "dp", "pp")
    assert found.mesh.groups(["pp"]).tolist()[0] == [0, 1]
    assert found.mesh.groups(["tp"]).tolist()[0] == [0, 4]


def test_pipeline_gets_a_microbatch_for_each_of_its_stages(plan):
    assert plan(4, {"pipeline": 4}).microbatches == 4
    looped = plan(4, {"pipeline": 4, "schedule": "interleaved", "virtual_stages": 2})
    assert (looped.microbatches, looped.stages) == (8, 8)
    assert plan(4, {"pipeline": 4, "accumulate": 2}).microbatch == 8


def test_microbatch_and_accumulate_part_the_batch(plan):
    found = plan(2, {"microbatch": 4, "accumulate": 2})
    assert (found.batch, found.microbatches, found.accumulate) == (32, 4, 2)


def test_fugaku_llm_is_laid_out_as_published(plan):
    """13,824 nodes, pipeline 8, tensor 6: 288 replicas, of DeepSpeedFugaku's 13b_pp8_tp6_dp288_inner.sh."""
    found = plan(13_824, {"tensor": 6, "pipeline": 8, "microbatch": 1}, {"global_batch": 288 * 8})
    assert found.extent("dp") == 288
    assert found.microbatches == 8


def test_stages_are_dealt_in_turn_and_each_once(plan):
    found = plan(4, {"pipeline": 4, "schedule": "interleaved", "virtual_stages": 3, "microbatch": 1})
    dealt = [found.stages_of(rank) for rank in range(4)]
    assert dealt == [(0, 4, 8), (1, 5, 9), (2, 6, 10), (3, 7, 11)]


@pytest.mark.parametrize(
    ("ranks", "parallel", "train", "message", "mended"),
    [
        (6, {"tensor": 4}, {}, "the nearest that works: 8 ranks", (8, {"tensor": 4}, {})),
        (1, {"tensor": 4}, {}, "the nearest that works: 4 ranks", (4, {"tensor": 4}, {})),
        (8, {"data": 2, "tensor": 2}, {}, "2 x tensor 2 x .* are 4 ranks, not 8", (4, {"data": 2, "tensor": 2}, {})),
        (8, {"data": 2, "tensor": 2}, {}, "leave parallel.data out", (8, {"tensor": 2}, {})),
        (3, {}, {"global_batch": 64}, "use a multiple of 3", (3, {}, {"global_batch": 66})),
        (3, {}, {"global_batch": 64}, "train.batch_per_rank", (3, {}, {"batch_per_rank": 21})),
        (8, {"accumulate": 3}, {}, "the nearest that works: accumulate = 2", (8, {"accumulate": 2}, {})),
        (2, {"microbatch": 7}, {}, "the nearest that works: microbatch = 8", (2, {"microbatch": 8}, {})),
        (
            3,
            {"pipeline": 3, "schedule": "zero-bubble", "virtual_stages": 2, "microbatch": 16},
            {},
            "a batch of 48 samples",
            (
                3,
                {"pipeline": 3, "schedule": "zero-bubble", "virtual_stages": 2, "microbatch": 16},
                {"global_batch": 48},
            ),
        ),
        (
            3,
            {"pipeline": 3, "schedule": "zero-bubble", "virtual_stages": 2, "microbatch": 16},
            {},
            "virtual_stages = 1",
            (3, {"pipeline": 3, "schedule": "zero-bubble", "microbatch": 16}, {}),
        ),
    ],
)
def test_refusal_names_a_plan_that_works(plan, ranks, parallel, train, message, mended):
    with pytest.raises(JobError, match=message) as refused:
        plan(ranks, parallel, train)
    assert "'tiny'" in str(refused.value)
    plan(*mended)


@pytest.mark.parametrize(
    ("data", "batch", "message", "mended"),
    [
        ({"augment": "deit", "mix": True}, 21, "each rank has 21 samples a step; the nearest that works: 22", 22),
        (
            {"repeats": 3},
            20,
            "does not divide the 80 samples of all ranks a step; the nearest that works: 84, 21 a",
            21,
        ),
        ({"augment": "deit", "mix": True, "repeats": 3}, 21, "the nearest that works: 24", 24),
        ({"augment": "deit", "mix": True, "repeats": 3}, 22, "the nearest that works: 96, 24 a rank", 24),
    ],
)
def test_batch_that_cannot_be_mixed_or_repeated_is_refused_with_one_that_can(job_table, data, batch, message, mended):
    job_table["data"].update(data)
    job_table["train"] = {"steps": 1, "batch_per_rank": batch}
    with pytest.raises(JobError, match=message):
        plan_of(from_table(job_table), 4)
    job_table["train"]["batch_per_rank"] = mended
    assert plan_of(from_table(job_table), 4).batch == mended


def test_no_ranks_are_refused(plan):
    with pytest.raises(JobError, match="at least one rank, not on 0"):
        plan(0)


@given(blocks=st.integers(1, 200), stages=st.integers(1, 200))
def test_blocks_are_dealt_once_in_order_and_nearly_equally(blocks, stages):
    assume(stages <= blocks)
    dealt = [deal_blocks(blocks, stages, stage) for stage in range(stages)]
    assert [block for part in dealt for block in part] == list(range(blocks))
    sizes = [len(part) for part in dealt]
    assert max(sizes) - min(sizes) <= 1
    if 0 < blocks % stages < stages - 1:  # first and last, which have other work besides, are among the shorter ones
        assert sizes[0] == sizes[-1] == min(sizes)


@pytest.mark.parametrize(("blocks", "stages"), [(3, 4), (1, 2), (5, 0)])
def test_stage_without_blocks_is_refused(blocks, stages):
    with pytest.raises(ValueError, match=re.escape(f"{blocks} blocks do not fill {stages} stages")):
        deal_blocks(blocks, stages, 0)


@given(
    data=st.integers(1, 5),
    tensor=st.integers(1, 4),
    pipeline=st.integers(1, 4),
    accumulate=st.integers(1, 3),
    microbatch=st.integers(1, 3),
    microbatches=st.integers(1, 8),
)
def test_every_sample_is_in_one_microbatch(data, tensor, pipeline, accumulate, microbatch, microbatches):
    batch = accumulate * microbatch * microbatches
    table = {
        "name": "any",
        "model": {"name": "vit"},
        "data": {"family": "fractal", "classes": 1, "instances": 1},
        "train": {"steps": 1, "global_batch": batch * data},
        "parallel": {"tensor": tensor, "pipeline": pipeline, "accumulate": accumulate, "microbatch": microbatch},
    }
    found = plan_of(from_table(table), data * tensor * pipeline)
    assert isinstance(found, Plan)
    assert found.microbatches == microbatches
    assert found.extent("dp") * found.accumulate * found.microbatches * found.microbatch == found.global_batch
