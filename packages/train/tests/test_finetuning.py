from dataclasses import replace

import numpy as np
import pytest
import torch
from fujimi_core.errors import JobError
from fujimi_core.job import Precision
from fujimi_train.finetuning import FinetuneSpec, accuracy, finetune, load_backbone

SPEC = FinetuneSpec(steps=60, batch=8, learning_rate=0.01)


@pytest.fixture
def noise():
    """Dark noise and bright noise."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(2), 8)
    return (random.integers(0, 128, (16, 16, 16)) + 127 * labels[:, None, None]).astype(np.uint8), labels


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.BFLOAT16])
def test_fine_tuning_learns_what_can_be_learned(make_job, tiny, noise, precision):
    torch.manual_seed(0)
    model = tiny.build(make_job())
    spec = replace(SPEC, precision=precision)
    assert accuracy(finetune(model, *noise, spec, channels=1), *noise, channels=1) == 1.0


def test_same_seed_gives_the_same_network(make_job, tiny, noise):
    torch.manual_seed(0)
    first = tiny.build(make_job())
    second = tiny.build(make_job())
    second.load_state_dict(first.state_dict())
    for model in (first, second):
        finetune(model, *noise, SPEC, channels=1)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_accuracy_counts_right_answers_over_uneven_batches(noise):
    pictures, labels = noise

    class AlwaysZero(torch.nn.Module):
        def forward(self, x):
            return torch.tensor([[1.0, 0.0]]).expand(len(x), 2)

    assert accuracy(AlwaysZero(), pictures[:11], labels[:11], channels=1, batch=4) == pytest.approx(8 / 11)


def test_backbone_is_taken_up_and_the_head_is_not(make_job, tiny):
    trained, model = tiny.build(make_job()), tiny.build(make_job(data={"classes": 7}))
    logits = model.head.linear.weight.clone()
    load_backbone(model, trained.state_dict())
    assert torch.equal(model.blocks[0].fc1.weight, trained.blocks[0].fc1.weight)
    assert torch.equal(model.head.linear.weight, logits)


def test_backbone_of_another_size_is_refused_by_name(make_job, tiny):
    trained, model = tiny.build(make_job()), tiny.build(make_job(model={"patch": 4}))
    with pytest.raises(JobError, match=r"embed.positions is torch.Size\(\[1, 5, 16\]\) there"):
        load_backbone(model, trained.state_dict())
