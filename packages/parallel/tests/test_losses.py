import pytest
import torch
import torch.nn.functional as F
from fujimi_parallel.losses import cross_entropy

KINDS = ["plain", "smoothed", "only smoothing", "of tokens", "large logits", "bfloat16"]


@pytest.mark.parametrize("size", ["2", "3"])
@pytest.mark.parametrize("kind", KINDS)
def test_loss_of_shared_classes_and_its_gradient_are_those_of_torch(engine, size, kind):
    for found in engine[: int(size)]:
        value, gradient = found["losses"][size][kind]
        assert value < 1e-6
        assert gradient < (2**-8 if kind == "bfloat16" else 1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_alone_it_is_that_of_torch(smoothing):
    logits, labels = torch.randn(2, 5, 7, dtype=torch.bfloat16, requires_grad=True), torch.randint(7, (2, 5))
    found = cross_entropy(logits, labels, label_smoothing=smoothing, group=None)
    right = F.cross_entropy(logits.float().mT, labels, label_smoothing=smoothing)
    assert found.dtype == torch.float32
    assert torch.allclose(found, right)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_labels_may_be_shares_of_classes(smoothing):
    logits, one, other = torch.randn(6, 5), torch.randint(5, (6,)), torch.randint(5, (6,))
    share = torch.rand(6, 1)
    shares = share * F.one_hot(one, 5) + (1 - share) * F.one_hot(other, 5)
    found = cross_entropy(logits, shares, label_smoothing=smoothing, group=None)
    # timm's SoftTargetCrossEntropy of targets that its mixup_target makes
    targets = (1 - smoothing) * shares + smoothing / 5
    assert torch.allclose(found, (-targets * logits.log_softmax(-1)).sum(-1).mean())
    with pytest.raises(ValueError, match="shares of classes need all classes"):
        cross_entropy(logits, shares, group=object())
