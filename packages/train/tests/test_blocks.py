import copy
import math

import pytest
import torch
from fujimi_core.job import AttentionKind
from fujimi_train.blocks import Attention, Block, Linear, dropped
from torch import nn


def attention(width=24, heads=3, causal=False):
    torch.manual_seed(0)
    made = Attention(width, heads, causal=causal, std=0.3, residual_std=0.3)
    nn.init.normal_(made.qkv.bias)
    nn.init.normal_(made.proj.bias)
    return made


def slow(module, x, *, heads):
    """Attention with a loop over samples, heads and tokens, and one matrix a head for query, key and value."""
    width = x.shape[2] // heads
    query, key, value = module.qkv(x).reshape(*x.shape[:2], heads, 3, width).unbind(3)
    mixed = torch.zeros(*x.shape[:2], heads, width)
    for sample in range(len(x)):
        for head in range(heads):
            for token in range(x.shape[1]):
                seen = token + 1 if module.causal else x.shape[1]
                scores = key[sample, :seen, head] @ query[sample, token, head] / math.sqrt(width)
                mixed[sample, token, head] = torch.softmax(scores, dim=0) @ value[sample, :seen, head]
    return module.proj(mixed.flatten(2))


@pytest.mark.parametrize("causal", [False, True])
def test_attention_is_what_its_formula_says(causal):
    module, x = attention(causal=causal), torch.randn(2, 5, 24)
    torch.testing.assert_close(module(x), slow(module, x, heads=3))


def test_attention_is_that_of_torch_with_the_same_weights():
    module, x = attention(), torch.randn(2, 5, 24)
    theirs = nn.MultiheadAttention(24, 3, batch_first=True)
    # theirs has all queries first, then all keys, then all values
    rows = torch.arange(72).reshape(3, 3, 8).transpose(0, 1).flatten()
    theirs.in_proj_weight.data = module.qkv.weight.data[rows]
    theirs.in_proj_bias.data = module.qkv.bias.data[rows]
    theirs.out_proj.load_state_dict(module.proj.state_dict())
    torch.testing.assert_close(module(x), theirs(x, x, x, need_weights=False)[0])


def of_some_heads(module, first, last):
    """The part of an attention that a rank with some of its heads has, its outputs without the bias."""
    part, width = copy.deepcopy(module), module.head_width
    part.qkv.weight.data = module.qkv.weight.data[3 * width * first : 3 * width * last]
    part.qkv.bias.data = module.qkv.bias.data[3 * width * first : 3 * width * last]
    part.proj.weight.data = module.proj.weight.data[:, width * first : width * last]
    part.proj.bias.data.zero_()
    return part


@pytest.mark.parametrize("causal", [False, True])
def test_rows_of_whole_heads_and_columns_of_the_projection_are_parts_of_the_sum(causal):
    module, x = attention(causal=causal), torch.randn(2, 5, 24)
    parts = [of_some_heads(module, 0, 1), of_some_heads(module, 1, 3)]
    torch.testing.assert_close(parts[0](x) + parts[1](x) + module.proj.bias, module(x))


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValueError, match="5 heads do not divide the width 24"):
        attention(heads=5)


def block(**changes):
    torch.manual_seed(0)
    choices = {"causal": False, "drop_path": 0.0, "gelu": "none", "epsilon": 1e-6, "std": 0.3, "residual_std": 0.3}
    return Block(24, 3, **{**choices, **changes})


@pytest.mark.parametrize("gelu", ["none", "tanh"])
def test_block_adds_both_branches_to_its_tokens(gelu):
    module, x = block(gelu=gelu), torch.randn(2, 5, 24)
    middle = x + slow(module.attention, nn.functional.layer_norm(x, [24], eps=1e-6), heads=3)
    hidden = module.fc1(nn.functional.layer_norm(middle, [24], eps=1e-6))
    torch.testing.assert_close(module(x), middle + module.fc2(nn.GELU(approximate=gelu)(hidden)))


def test_drop_path_leaves_out_branches_in_training_only_and_keeps_the_mean():
    module = block(drop_path=0.5)
    branch = torch.ones(4000, 1, 1)
    dropped = module._dropped(branch)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.05)
    assert torch.equal(module.eval()._dropped(branch), branch)


def test_initial_weights_have_the_deviation_asked_for():
    torch.manual_seed(0)
    layer = Linear(300, 200, std=0.05)
    assert layer.weight.std().item() == pytest.approx(0.05, rel=0.02)
    assert layer.weight.mean().item() == pytest.approx(0, abs=0.001)
    assert not layer.bias.any()
    torch.manual_seed(0)
    assert torch.equal(layer.weight, nn.init.trunc_normal_(torch.empty(200, 300), std=0.05))  # what DeiT draws
    assert Linear(3, 2, bias=False).bias is None


@pytest.mark.parametrize("causal", [False, True])
def test_unfused_attention_is_the_same(causal):
    fused = attention(causal=causal)
    unfused = copy.deepcopy(fused)
    unfused.kind = AttentionKind.UNFUSED
    x = torch.randn(2, 5, 24)
    assert torch.allclose(unfused(x), slow(fused, x, heads=3) if not causal else fused(x), atol=1e-5)
    grads = [torch.autograd.grad(module(x).square().sum(), module.qkv.weight)[0] for module in (fused, unfused)]
    assert torch.allclose(*grads, rtol=1e-4, atol=1e-4)


def test_dropout_leaves_out_a_share_and_keeps_the_mean():
    torch.manual_seed(1)
    y = dropped(torch.ones(100_000), 0.25)
    assert y.unique().tolist() == pytest.approx([0.0, 4 / 3])
    assert (y == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    x = torch.ones(3)
    assert dropped(x, 0.0) is x


def test_nothing_is_dropped_when_not_training():
    block = Block(24, 3, causal=True, drop_path=0.0, gelu="none", epsilon=1e-5, std=0.2, residual_std=0.2, dropout=0.5)
    x = torch.randn(2, 5, 24)
    assert not torch.equal(block(x), block(x))
    block.eval()
    assert torch.equal(block(x), block(x))
