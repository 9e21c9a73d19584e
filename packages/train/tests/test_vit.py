import pytest
import torch
from fujimi_train.vit import SHAPES, VisionTransformer

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


def test_drop_path_leaves_out_branches_in_training_only_and_keeps_the_mean():
    torch.manual_seed(0)
    block = build("vit_tiny", pixels=32, drop_path=0.5).blocks[-1]
    branch = torch.ones(4000, 1, 1)
    dropped = block._dropped(branch)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.05)
    assert torch.equal(block.eval()._dropped(branch), branch)


def test_attention_is_what_its_formula_says():
    torch.manual_seed(0)
    attention = build("vit_tiny", pixels=32).blocks[0].attention
    x = torch.randn(2, 5, 192)
    query, key, value = attention.qkv(x).view(2, 5, 3, 3, 64).permute(2, 0, 3, 1, 4)
    weights = torch.softmax(query @ key.transpose(-1, -2) / 8, dim=-1)
    expected = attention.proj((weights @ value).transpose(1, 2).reshape(2, 5, 192))
    torch.testing.assert_close(attention(x), expected)
