import math

import pytest
import torch
import torch.nn.functional as F
from fujimi_train.gpt import SHAPES, Gpt, GptShape
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

TINY = GptShape(width=16, depth=2, heads=2)

# as Hugging Face's transformers counts "gpt2", "-medium", "-large" and "-xl", with the head of the embedding
WITH_TIED_HEAD = {
    "gpt2_small": 124_439_808,
    "gpt2_medium": 354_823_168,
    "gpt2_large": 774_030_080,
    "gpt2_xl": 1_557_611_200,
}


def build(name, *, sequence=1024, vocabulary=50_257):
    with torch.device("meta"):
        return Gpt(SHAPES[name], sequence=sequence, vocabulary=vocabulary)


def tiny(**keywords):
    torch.manual_seed(0)
    return Gpt(TINY, **{"sequence": 12, "vocabulary": 11, **keywords})


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("name", WITH_TIED_HEAD)
def test_every_gpt2_has_the_published_parameters_and_a_head_of_its_own(name):
    assert count(build(name)) == WITH_TIED_HEAD[name] + 50_257 * SHAPES[name].width


@pytest.mark.parametrize(
    ("name", "vocabulary", "billions"),
    # "6.7B" and "13B" are what Brown et al. and the authors of Fugaku-LLM call them, with tied heads
    [("gpt3_6.7b", 50_257, 6.7), ("gpt_13b", 48_588, 13.2)],
)
def test_larger_ones_have_the_parameters_of_their_names(name, vocabulary, billions):
    model = build(name, sequence=2048, vocabulary=vocabulary)
    tied = count(model) - vocabulary * SHAPES[name].width
    assert tied / 1e9 == pytest.approx(billions, abs=0.05)


def test_logits_are_those_of_a_gpt_written_with_torchs_own_layers():
    model = tiny()
    tokens = torch.randint(0, 11, (3, 12))
    x = F.embedding(tokens, model.embed.tokens.weight) + model.embed.positions
    for block in model.blocks:
        x = theirs(block)(x, src_mask=nn_mask(12), is_causal=True)
    expected = F.layer_norm(x, [16], eps=1e-5) @ model.head.linear.weight.T
    torch.testing.assert_close(model(tokens), expected)


def nn_mask(tokens):
    return torch.nn.Transformer.generate_square_subsequent_mask(tokens)


def theirs(block):
    """Torch's encoder layer with the weights of a block."""
    layer = torch.nn.TransformerEncoderLayer(
        16, 2, 64, dropout=0.0, activation=torch.nn.GELU("tanh"), layer_norm_eps=1e-5, batch_first=True, norm_first=True
    )
    # theirs has all queries first, then all keys, then all values
    rows = torch.arange(48).reshape(2, 3, 8).transpose(0, 1).flatten()
    layer.self_attn.in_proj_weight.data = block.attention.qkv.weight.data[rows]
    layer.self_attn.in_proj_bias.data = block.attention.qkv.bias.data[rows]
    layer.self_attn.out_proj.load_state_dict(block.attention.proj.state_dict())
    for ours, other in (
        (block.fc1, layer.linear1),
        (block.fc2, layer.linear2),
        (block.norm1, layer.norm1),
        (block.norm2, layer.norm2),
    ):
        other.load_state_dict(ours.state_dict())
    return layer


def test_later_token_changes_no_earlier_logits():
    model = tiny()
    tokens = torch.randint(0, 11, (3, 12))
    changed = tokens.clone()
    changed[:, 7] = (changed[:, 7] + 1) % 11
    before, after = model(tokens), model(changed)
    torch.testing.assert_close(after[:, :7], before[:, :7], rtol=0, atol=0)
    assert ((after - before)[:, 7:].abs().amax(dim=(0, 2)) > 1e-6).all()


def test_shorter_samples_have_the_first_positions():
    model = tiny()
    tokens = torch.randint(0, 11, (3, 12))
    torch.testing.assert_close(model(tokens[:, :5]), model(tokens)[:, :5])


def test_loss_begins_at_that_of_guessing_and_each_step_lowers_it():
    model = tiny()
    tokens = torch.randint(0, 11, (4, 13))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    losses = []
    for _ in range(4):
        loss = F.cross_entropy(model(tokens[:, :-1]).flatten(0, 1), tokens[:, 1:].flatten())
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[0] == pytest.approx(math.log(11), abs=0.01)
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]


def test_initial_values_are_those_of_the_paper():
    torch.manual_seed(0)
    model = Gpt(GptShape(width=128, depth=8, heads=2, std=0.05), sequence=64, vocabulary=300)
    for module, std in (
        (model.embed.tokens, 0.05),
        (model.blocks[3].attention.qkv, 0.05),
        (model.blocks[3].fc1, 0.05),
        (model.blocks[3].attention.proj, 0.05 / 4),
        (model.blocks[3].fc2, 0.05 / 4),
        (model.head.linear, 0.05),
    ):
        assert module.weight.std().item() == pytest.approx(std, rel=0.03)
    assert model.embed.positions.std().item() == pytest.approx(0.05, rel=0.03)
    assert model.head.linear.bias is None


def test_network_is_built_under_fake_tensors():
    with FakeTensorMode():
        model = tiny()
        assert model(torch.zeros(2, 12, dtype=torch.int64)).shape == (2, 12, 11)


def test_fugaku_llms_step_costs_about_six_flops_a_parameter_and_token():
    width, depth, tokens, vocabulary = 5184, 40, 2048, 48_588
    model = build("gpt_13b", sequence=tokens, vocabulary=vocabulary)
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, tokens, dtype=torch.int64, device="meta")).sum().backward()
    products = 6 * (12 * width**2 * depth + vocabulary * width) * tokens
    attention = 12 * tokens**2 * width * depth  # products with masked scores are counted, as they are computed
    assert counter.get_total_flops() == products + attention
    assert counter.get_total_flops() == pytest.approx(6 * count(model) * tokens, rel=0.06)
