import contextlib

import pytest
import torch
from fujimi_core.job import Schedule
from fujimi_parallel.pipeline import Pipeline
from fujimi_parallel.schedules import order
from fujimi_parallel.stage import whole_stage
from fujimi_parallel.zero import DataParallel
from torch import nn

MICROBATCHES = 3


def pipeline(model, schedule, entered=contextlib.nullcontext):
    data = DataParallel(None, level=0, by_hooks=schedule is not Schedule.ZERO_BUBBLE)
    data.add(dict(model.named_parameters()))
    actions = order(schedule, rank=0, ranks=1, microbatches=MICROBATCHES)
    found = Pipeline(
        {0: whole_stage(model)}, last=0, actions=actions, messages=None, ranks=1, data=data, forward_context=entered
    )
    return found, data


@pytest.mark.parametrize("schedule", list(Schedule))
def test_gradients_of_microbatches_add_up_as_in_a_loop(schedule):
    model, right = nn.Linear(4, 2), nn.Linear(4, 2)
    right.load_state_dict(model.state_dict())
    inputs = torch.randn(MICROBATCHES, 5, 4)
    found, data = pipeline(model, schedule)
    data.begin()
    total = found.run(list(inputs), lambda y, number: (number + 1) * y.square().mean(), last_pass=True)
    data.finish()
    losses = [(number + 1) * right(x).square().mean() for number, x in enumerate(inputs)]
    for loss in losses:
        loss.backward()
    assert torch.equal(total, torch.stack(losses).sum())
    assert torch.equal(model.weight.grad, right.weight.grad)
    assert torch.equal(model.bias.grad, right.bias.grad)


def test_each_pass_forward_is_inside_the_context():
    entered = []

    @contextlib.contextmanager
    def context():
        entered.append("in")
        yield
        entered.append("out")

    found, data = pipeline(nn.Linear(4, 2), Schedule.GPIPE, context)
    data.begin()
    found.run(list(torch.randn(MICROBATCHES, 5, 4)), lambda y, _: entered.append("loss") or y.sum(), last_pass=True)
    assert entered == ["in", "out", "loss"] * MICROBATCHES


def test_first_stage_without_inputs_says_so():
    found, _ = pipeline(nn.Linear(4, 2), Schedule.GPIPE)
    with pytest.raises(ValueError, match="microbatch 0 has no inputs, but the first stage is here"):
        found.run([None] * MICROBATCHES, lambda y, _: y.sum(), last_pass=True)
