import pytest
import torch
from fujimi_parallel.capture.likeness import likeness
from torch import nn


class Block(nn.Module):
    def __init__(self, width=4, *, rate=0.1, act=nn.functional.gelu):
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.rate = rate
        self.act = act


def test_modules_of_the_same_making_are_alike_whatever_their_numbers():
    assert likeness(Block()) == likeness(Block())
    assert hash(likeness(Block())) == hash(likeness(Block()))


@pytest.mark.parametrize(
    "other",
    [
        Block(5),
        Block(rate=0.2),
        Block(act=nn.functional.relu),
        Block(act=lambda x: x),
        Block().double(),
        Block().eval(),
        nn.Sequential(Block()),
    ],
    ids=["width", "attribute", "function", "own function", "type", "mode", "class"],
)
def test_modules_that_may_do_something_else_are_not(other):
    assert likeness(other) != likeness(Block())


def test_hook_makes_a_module_like_itself_only():
    one, other = Block(), Block()
    one.register_forward_hook(lambda *_: None)
    other.register_forward_hook(lambda *_: None)
    assert likeness(one) != likeness(other)
    assert likeness(one) == likeness(one)


def test_parameter_that_is_not_trained_counts():
    frozen = Block()
    frozen.linear.weight.requires_grad_(False)
    assert likeness(frozen) != likeness(Block())


def test_numbers_and_truth_values_are_not_the_same():
    assert likeness(1) != likeness(True)
    assert likeness(torch.zeros(2)) == likeness(torch.ones(2))
