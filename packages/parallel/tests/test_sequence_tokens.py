"""Errors only; that tokens and gradients arrive is tested on ranks, in test_ring_attention."""

import pytest
import torch
import torch.distributed as dist
from fujimi_core.mesh import Mesh
from fujimi_parallel.capture.fake_world import fake_world
from fujimi_parallel.sequence_split import SequenceSplit
from fujimi_parallel.sequence_tokens import gather_tokens, split_tokens

SPLIT = SequenceSplit(tokens=9, ranks=2)


@pytest.fixture
def group():
    """That of all two ranks."""
    with fake_world(Mesh.of(dp=2), rank=1):
        yield dist.group.WORLD


def test_rank_gets_its_share_and_gives_back_the_whole(group):
    x = torch.empty(3, 9, 5)
    mine = split_tokens(x, group, split=SPLIT)
    assert (mine.shape, gather_tokens(mine, group, split=SPLIT).shape) == ((3, 4, 5), x.shape)


def test_sample_of_another_length_is_not_dealt(group):
    with pytest.raises(ValueError, match=r"a sample has 9 tokens, but dim 1 of shape \(3, 8, 5\) has 8"):
        split_tokens(torch.empty(3, 8, 5), group, split=SPLIT)


def test_tokens_that_were_not_dealt_are_not_gathered(group):
    with pytest.raises(ValueError, match=r"rank 1 of the group holds 4 tokens, but dim 1 of shape \(3, 9, 5\) has 9"):
        gather_tokens(torch.empty(3, 9, 5), group, split=SPLIT)


def test_group_of_another_size_is_refused(group):
    with pytest.raises(ValueError, match="dealt to 3 ranks, but the group has 2"):
        split_tokens(torch.empty(3, 9, 5), group, split=SequenceSplit(tokens=9, ranks=3))
