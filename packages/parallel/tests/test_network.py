import contextlib
import re

import pytest
import torch
from fujimi_core.errors import JobError
from fujimi_core.job import from_table
from fujimi_core.offers import Model
from fujimi_core.plan import plan_of
from fujimi_parallel.axes import Axes
from fujimi_parallel.capture.fake_world import fake_world
from fujimi_parallel.network import Network
from torch import nn
from torch._subclasses.fake_tensor import unset_fake_temporarily

#: Of the network in `engine_ranks.py`.
NUMEL = 5_036
PLANS = [
    "data",
    "zero 1",
    "zero 2, two passes",
    "zero 3",
    "tensor",
    "pipeline",
    "sequence",
    "tensor and pipeline",
    "tensor, recompute selective",
    "tensor and pipeline, zero-bubble, recompute selective",
    "pipeline and data",
    "sequence and tensor",
    "few microbatches",
]


@pytest.mark.parametrize("plan", PLANS)
def test_loss_and_gradients_on_four_ranks_are_those_of_autograd(engine, plan):
    for found in engine:
        loss, gradients, _ = found["networks"][plan]
        assert loss < 1e-6
        assert gradients < 2e-6


def test_gradients_that_travel_in_bfloat16_are_rounded_to_it(engine):
    assert all(2**-12 < found["networks"]["gradients in bfloat16"][1] < 2**-6 for found in engine)


@pytest.mark.parametrize("plan", [*PLANS, "gradients in bfloat16"])
def test_one_rank_speaks_for_each_element(engine, plan):
    assert all(found["networks"][plan][2] == NUMEL for found in engine)


@pytest.mark.parametrize("level", ["0", "3"])
def test_model_without_table_is_trained_by_data_parallel_ranks(engine, level):
    assert all(found["no table"][level] < 2e-6 for found in engine)


def refused(axis, *, device):
    """What is said of two ranks along an axis for a model without a table."""
    table = {
        "name": "whole",
        "model": {"name": "plain"},
        "data": {"family": "tokens", "sequence": 4, "vocabulary": 8},
        "train": {"steps": 1, "global_batch": 4},
        "parallel": {axis: 2},
    }
    job = from_table(table)
    plan = plan_of(job, 2)
    with fake_world(plan.mesh) as world, pytest.raises(JobError) as caught:
        Network(
            Model(name="plain", summary="", build=lambda _: nn.Embedding(8, 8)),
            job,
            plan,
            Axes(world, plan.mesh),
            example=example(plan.microbatch),
            device=torch.device(device),
            compute_dtype=torch.float32,
            forward_context=contextlib.nullcontext,
        )
    return str(caught.value)


@pytest.mark.parametrize("axis", ["tensor", "pipeline", "sequence"])
def test_model_without_table_cannot_be_parted(axis):
    message = f"parallel.{axis} = 2: the model 'plain' offers no sharding table; the nearest that works: {axis} = 1"
    assert message in refused(axis, device="cpu")


def test_pipeline_over_nccl_is_refused_instead_of_waiting_for_ever():
    assert re.search(
        r"parallel.pipeline = 2: .*NCCL.* the nearest that works: pipeline = 1", refused("pipeline", device="cuda")
    )


def example(batch):
    with unset_fake_temporarily():
        return torch.empty(batch, 4, dtype=torch.int64, device="meta")
