import pytest
import torch
from fujimi_train.schedule import learning_rate
from torch.nn import Parameter
from torch.optim import SGD
from torch.optim.lr_scheduler import CosineAnnealingLR


def test_cosine_is_torchs_own():
    optimizer = SGD([Parameter(torch.zeros(1))], lr=0.3)
    scheduler = CosineAnnealingLR(optimizer, T_max=50)
    for step in range(50):
        expected = optimizer.param_groups[0]["lr"]
        assert learning_rate(step, 50, warmup_steps=0, highest=0.3) == pytest.approx(expected, abs=1e-9)
        optimizer.step()
        scheduler.step()


def test_warm_up_rises_by_equal_amounts_to_the_highest():
    rates = [learning_rate(step, 100, warmup_steps=5, highest=1.0) for step in range(6)]
    assert rates == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])


def test_run_that_is_all_warm_up_is_allowed():
    assert learning_rate(9, 10, warmup_steps=10, highest=1.0) == 1.0
