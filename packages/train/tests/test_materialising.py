"""Networks built without memory, and filled module by module: what spreading them over ranks rests on."""

import pytest
import torch
from fujimi_train.gpt import Gpt, GptShape
from fujimi_train.vit import VisionTransformer, VitShape


def vit():
    return VisionTransformer(VitShape(width=24, depth=2, heads=3), pixels=8, patch=4, channels=2, classes=5)


def gpt():
    return Gpt(GptShape(width=24, depth=2, heads=3), sequence=8, vocabulary=50)


def owners(model):
    """Modules that have parameters of their own, by name."""
    return [(name, module) for name, module in model.named_modules() if list(module.parameters(recurse=False))]


def on_meta(build):
    with torch.device("meta"):
        return build()


def fill(model, order):
    """Draw the values of a network on the meta device, each module's from its own seed."""
    modules = owners(model)
    for number in order(range(len(modules))):
        _, module = modules[number]
        module.to_empty(device="cpu", recurse=False)
        for parameter in module.parameters(recurse=False):
            torch.nn.init.constant_(parameter, float("nan"))
        torch.manual_seed(number)
        module.reset_parameters()
    return model.state_dict()


@pytest.mark.parametrize("build", [vit, gpt])
def test_filled_networks_are_the_same_in_any_order_and_complete(build):
    first, second = (fill(on_meta(build), order) for order in (list, reversed))
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(value.isfinite().all() for value in first.values())


@pytest.mark.parametrize("build", [vit, gpt])
def test_each_module_draws_its_own_values_only(build):
    model = build()
    for name, module in owners(model):
        before = {each: value.clone() for each, value in model.state_dict().items()}
        own = {f"{name}.{each}" for each, _ in module.named_parameters(recurse=False)}
        for parameter in module.parameters(recurse=False):
            torch.nn.init.constant_(parameter, float("nan"))
        module.reset_parameters()
        after = model.state_dict()
        assert all(torch.equal(after[each], before[each]) for each in before if each not in own), name
        assert all(after[each].isfinite().all() for each in own), name


@pytest.mark.parametrize("build", [vit, gpt])
def test_networks_built_with_memory_are_filled_with_values_of_the_same_kind(build):
    torch.manual_seed(0)
    built, filled = build().state_dict(), fill(on_meta(build), list)
    for name, value in built.items():
        assert value.isfinite().all()
        if value.unique().numel() == 1:  # norms and biases
            assert torch.equal(value, filled[name]), name
        elif value.numel() > 500:
            assert value.std().item() == pytest.approx(filled[name].std().item(), rel=0.15), name
