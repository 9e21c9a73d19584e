import pytest
import torch
from fujimi_parallel.zero import DataParallel
from torch import nn

LEVELS = [0, 1, 2, 3]
#: Bytes of a parameter, its gradient and AdamW's two moments, all in float32: what each level shares out.
WHOLE, SHARED = (16, 8, 4, 0), (0, 12, 12, 16)


def test_all_levels_train_bit_equal(engine):
    for found in engine:
        assert found["zero"]["bit-equal"] == [True] * 4


@pytest.mark.parametrize("what", ["from one process", "two passes", "one unit"])
def test_parameters_and_gradients_after_three_steps_are_those_of_one_process(engine, what):
    for found in engine:
        assert max(found["zero"][what]) < 5e-6


def test_parameters_in_bfloat16_are_updated_by_float32_copies_at_every_level(engine):
    for found in engine:
        assert max(found["zero"]["copies"]) < 5e-6


def test_copies_keep_what_bfloat16_would_round_away():
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    data = DataParallel(None, level=0, compute_dtype=torch.bfloat16)
    data.add(dict(model.named_parameters()))
    (piece,) = data.pieces()
    for _ in range(4):
        with torch.no_grad():
            piece.values.add_(2**-9)  # half of the least step of bfloat16 above 1 is 2 ** -8
        data.updated()
    assert model.weight.dtype is torch.bfloat16
    assert model.weight.item() == 1 + 2**-7
    assert data.parameter_bytes == 2 + 4


def test_gradients_that_travel_in_bfloat16_are_rounded_to_it(engine):
    for found in engine:
        assert all(2**-12 < apart < 2**-7 for apart in found["zero"]["bfloat16"])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("ranks", [2, 4])
def test_memory_that_a_level_shares_falls_inversely_with_the_ranks(engine, level, ranks):
    """Level 1 keeps its sum beside the whole gradients: 4 bytes more of each element that it updates."""
    for found in engine:
        kept, parameters, gradients = (found["zero"]["bytes"] if ranks == 2 else found["bytes on 4 ranks"])[level]
        assert kept == pytest.approx(WHOLE[level] + SHARED[level] / ranks, rel=0.05)
        assert parameters == pytest.approx(4 / ranks if level == 3 else 4, rel=0.05)
        assert gradients == pytest.approx(4 / ranks if level >= 2 else 4, rel=0.05)


def test_alone_there_is_nothing_to_share():
    model, data = nn.Linear(3, 2), DataParallel(None, level=3)
    data.add(dict(model.named_parameters()), module=model)
    assert data.level == 0
    data.begin()
    x = torch.randn(4, 3)
    (2 * model(x)).sum().backward()
    data.finish()
    pieces = {piece.name: piece.values for piece in data.pieces()}
    assert pieces["weight"] is model.weight
    assert torch.allclose(pieces["weight"].grad, 2 * x.sum(0).expand(2, 3))


def test_each_step_begins_without_gradients():
    model, data = nn.Linear(3, 2), DataParallel(None, level=0)
    data.add(dict(model.named_parameters()))
    for _ in range(2):
        data.begin()
        model(torch.ones(1, 3)).sum().backward()
        data.finish()
    assert torch.equal(model.weight.grad, torch.ones(2, 3))
