import pytest
import torch
import torch.nn.functional as F
from fujimi_train.vit import SHAPES, VisionTransformer, VitShape
from torch._subclasses.fake_tensor import FakeTensorMode

# parameters of 224-pixel classifiers of 1,000 classes, patch 16 (huge: 14), as timm 1.0 counts them
PARAMETERS = {
    ("vit_tiny", 16): 5_717_416,
    ("vit_small", 16): 22_050_664,
    ("vit_base", 16): 86_567_656,
    ("vit_large", 16): 304_326_632,
    ("vit_huge", 14): 632_045_800,
}


def build(name, **keywords):
    return VisionTransformer(SHAPES[name], **{"pixels": 224, "patch": 16, "channels": 3, "classes": 1000, **keywords})


@pytest.mark.parametrize(("name", "patch"), PARAMETERS)
def test_every_size_has_the_published_number_of_parameters(name, patch):
    with torch.device("meta"):
        model = build(name, patch=patch)
    assert sum(parameter.numel() for parameter in model.parameters()) == PARAMETERS[name, patch]


def test_prediction_depends_on_where_a_patch_is():
    torch.manual_seed(0)
    model = build("vit_tiny", pixels=32, classes=5).eval()
    picture = torch.randn(1, 3, 32, 32)
    moved = picture.roll(16, dims=3)
    assert model(picture).shape == (1, 5)
    assert not torch.allclose(model(picture), model(moved))


def test_picture_does_not_depend_on_the_others_of_its_batch():
    torch.manual_seed(0)
    model = build("vit_tiny", pixels=32, classes=5).eval()
    pictures = torch.randn(3, 3, 32, 32)
    torch.testing.assert_close(model(pictures)[1:2], model(pictures[1:2]))


def test_logits_are_what_the_papers_equations_say():
    torch.manual_seed(0)
    shape = VitShape(width=24, depth=3, heads=3)
    model = VisionTransformer(shape, pixels=8, patch=4, channels=2, classes=5)
    picture = torch.randn(2, 2, 8, 8)
    patches = picture.unfold(2, 4, 4).unfold(3, 4, 4).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
    tokens = patches @ model.embed.patches.weight.flatten(1).T + model.embed.patches.bias
    x = torch.cat([model.embed.class_token.expand(2, 1, 24), tokens], dim=1) + model.embed.positions
    for block in model.blocks:
        qkv = block.attention.qkv(F.layer_norm(x, [24], eps=1e-6)).reshape(2, 5, 3, 3, 8)
        query, key, value = qkv.permute(3, 0, 2, 1, 4)
        weights = torch.softmax(query @ key.transpose(2, 3) / 8**0.5, dim=3)
        x = x + block.attention.proj((weights @ value).transpose(1, 2).flatten(2))
        x = x + block.fc2(F.gelu(block.fc1(F.layer_norm(x, [24], eps=1e-6))))
    expected = model.head.linear(F.layer_norm(x, [24], eps=1e-6)[:, 0])
    torch.testing.assert_close(model(picture), expected)


def test_drop_path_rises_from_none_in_the_first_block_to_that_of_the_last():
    rates = [block.drop_path for block in build("vit_tiny", pixels=32, drop_path=0.5).blocks]
    assert rates == pytest.approx([0.5 * number / 11 for number in range(12)])


def test_initial_values_are_those_of_deit():
    torch.manual_seed(0)
    model = build("vit_tiny")
    drawn = [model.embed.class_token, model.embed.positions, model.head.linear.weight, model.blocks[5].fc2.weight]
    for parameter in drawn:
        assert parameter.std().item() == pytest.approx(0.02, rel=0.2 if parameter.numel() < 1000 else 0.02)
    assert not model.head.linear.bias.any()


def test_network_is_built_under_fake_tensors():
    with FakeTensorMode():
        model = build("vit_tiny")
        assert model(torch.zeros(2, 3, 224, 224)).shape == (2, 1000)
