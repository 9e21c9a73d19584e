from types import SimpleNamespace

import pytest
import torch
from fujimi_core.offers import Style
from fujimi_parallel.tensor_parallel import share
from torch import nn


def group(size, rank=0):
    """As far as parting needs one."""
    return SimpleNamespace(size=lambda: size, rank=lambda: rank)


@pytest.mark.parametrize("size", ["2", "3"])
def test_shared_layers_give_what_whole_ones_do(engine, size):
    for found in engine[: int(size)]:
        assert found["layers"][size]["output"] < 1e-6


@pytest.mark.parametrize("size", ["2", "3"])
def test_gradients_of_shared_layers_are_parts_of_those_of_whole_ones(engine, size):
    for found in engine[: int(size)]:
        gradients = found["layers"][size]["gradients"]
        assert set(gradients) == {"words.weight", "fc1.weight", "fc1.bias", "fc2.weight", "fc2.bias"}
        assert max(gradients.values()) < 1e-6


@pytest.mark.parametrize("size", ["2", "3"])
def test_each_rank_has_its_part_and_the_bias_of_a_row_layer_is_whole(engine, size):
    ranks = int(size)
    for rank, found in enumerate(engine[:ranks]):
        extents = {"words.weight": (0, 24), "fc1.weight": (0, 36), "fc1.bias": (0, 36), "fc2.weight": (1, 36)}
        expected = {
            name: [dim, rank * extent // ranks, (rank + 1) * extent // ranks] for name, (dim, extent) in extents.items()
        }
        assert found["layers"][size]["cuts"] == expected
        assert found["layers"][size]["shapes"]["fc2.bias"] == [12]


@pytest.mark.parametrize(
    ("module", "style"),
    [(nn.Linear(4, 6), Style.COLUMN), (nn.Linear(6, 4), Style.ROW), (nn.Embedding(6, 4), Style.VOCABULARY)],
)
def test_parts_of_all_ranks_make_up_the_whole(module, style):
    weight = module.weight.detach()
    parts = []
    for rank in range(3):
        copy = type(module)(*([weight.shape[1], weight.shape[0]] if isinstance(module, nn.Linear) else weight.shape))
        copy.load_state_dict(module.state_dict())
        cuts = share(copy, style, group(3, rank), name="layer")
        parts.append(copy.weight.detach())
        assert parts[-1].untyped_storage().nbytes() == weight.nbytes // 3  # the rest is freed
    assert torch.equal(torch.cat(parts, dim=cuts["weight"][0]), weight)


def test_frozen_parameter_stays_frozen():
    layer = nn.Linear(4, 6).requires_grad_(False)
    share(layer, Style.COLUMN, group(2), name="layer")
    assert not layer.weight.requires_grad


def test_layer_that_does_not_divide_is_named():
    with pytest.raises(ValueError, match=r"head\.linear\.weight has extent 7, which 2 ranks cannot share evenly"):
        share(nn.Linear(4, 7), Style.COLUMN, group(2), name="head.linear")


@pytest.mark.parametrize(
    ("module", "style", "wanted"),
    [(nn.Embedding(4, 4), Style.ROW, "Linear"), (nn.Linear(4, 4), Style.VOCABULARY, "Embedding")],
)
def test_layer_of_another_kind_is_named(module, style, wanted):
    with pytest.raises(ValueError, match=f"embed is a {type(module).__name__}; style {style.value} is for {wanted}"):
        share(module, style, group(2), name="embed")
