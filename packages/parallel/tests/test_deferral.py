import contextlib

import pytest
import torch
import torch.nn.functional as F
from fujimi_parallel.deferral import Deferral
from torch import nn
from torch.utils.checkpoint import checkpoint


def layers(bias=True):
    torch.manual_seed(6)
    return nn.Sequential(nn.Linear(5, 7, bias=bias), nn.GELU(), nn.LayerNorm(7), nn.Linear(7, 4, bias=bias))


def gradients(model):
    return [parameter.grad for parameter in model.parameters()]


def run(model, x, *, deferral=None, autocast=False, how=lambda model, x: model(x)):
    """Gradients of the inputs after one pass; those of linear layers are added up later, if there is a deferral."""
    x = x.clone().requires_grad_()
    precision = torch.autocast("cpu", torch.bfloat16) if autocast else contextlib.nullcontext()
    with deferral or contextlib.nullcontext():
        with precision:
            y = how(model, x)
        y.float().square().sum().backward()
    return x.grad


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("autocast", [False, True])
@pytest.mark.parametrize("shape", [(3, 5), (2, 3, 5), (2, 2, 3, 5)])
def test_gradients_are_bit_equal_to_those_of_torch(bias, autocast, shape):
    x = torch.randn(*shape)
    right, found, deferral = layers(bias), layers(bias), Deferral()
    assert torch.equal(run(found, x, deferral=deferral, autocast=autocast), run(right, x, autocast=autocast))
    deferral.run(None)
    for mine, other in zip(gradients(found), gradients(right), strict=True):
        assert torch.equal(mine, other)
        assert mine.dtype == torch.float32


def test_linear_layers_wait_and_others_do_not():
    model, deferral = layers(), Deferral()
    run(model, torch.randn(3, 5), deferral=deferral)
    assert [parameter.grad is None for parameter in model.parameters()] == [True, True, False, False, True, True]
    deferral.run(None)
    assert all(gradient is not None for gradient in gradients(model))


def test_each_microbatch_waits_under_its_own_key_and_gradients_add_up():
    x = torch.randn(2, 3, 5)
    right, found, deferral = layers(), layers(), Deferral()
    for number in range(2):
        deferral.key = number
        run(found, x[number], deferral=deferral)
        run(right, x[number])
    alone = layers()
    run(alone, x[0])
    deferral.run(0)
    assert torch.equal(found[0].weight.grad, alone[0].weight.grad)
    deferral.run(1)
    deferral.run(1)  # nothing is left
    assert all(torch.equal(*pair) for pair in zip(gradients(found), gradients(right), strict=True))


def test_inputs_without_gradient_are_no_hindrance():
    """The first layer of a network has such."""
    right, found, deferral, x = layers(), layers(), Deferral(), torch.randn(3, 5)
    with deferral:
        found(x).square().sum().backward()
    right(x).square().sum().backward()
    deferral.run(None)
    assert all(torch.equal(*pair) for pair in zip(gradients(found), gradients(right), strict=True))


def test_frozen_layer_stays_without_gradient():
    model, deferral = layers(), Deferral()
    model[0].requires_grad_(False)
    run(model, torch.randn(3, 5), deferral=deferral)
    deferral.run(None)
    assert model[0].weight.grad is None
    assert model[3].weight.grad is not None


@pytest.mark.parametrize("autocast", [False, True])
def test_what_is_computed_again_waits_too(autocast):
    right, found, deferral, x = layers(), layers(), Deferral(), torch.randn(3, 5)

    def again(model, x):
        return checkpoint(model, x, use_reentrant=False)

    run(found, x, deferral=deferral, how=again, autocast=autocast)
    assert found[3].weight.grad is None
    deferral.run(None)
    run(right, x, autocast=autocast)
    assert all(torch.equal(*pair) for pair in zip(gradients(found), gradients(right), strict=True))


def test_tied_weight_gets_both_gradients():
    """One use as a linear layer, one as another."""
    x, deferral = torch.randn(3, 7), Deferral()
    right, found = nn.Linear(7, 4), nn.Linear(7, 4)
    found.load_state_dict(right.state_dict())
    for model, context in ((right, contextlib.nullcontext()), (found, deferral)):
        with context:
            (F.linear(x, model.weight) + x @ model.weight.t()).square().sum().backward()
    deferral.run(None)
    assert torch.allclose(found.weight.grad, right.weight.grad, rtol=1e-6)


def test_torch_has_its_own_layer_back_afterwards():
    own = F.linear

    def fail():
        assert F.linear is not own
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"), Deferral():
        fail()
    assert F.linear is own
