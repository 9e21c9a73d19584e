"""Operators that are timed, as a capture sees them."""

import pytest
import torch
from fujimi_train.calibration import operators
from fujimi_train.calibration.steps import tiny_step, usual_step


def test_products_have_the_arithmetic_of_their_shapes():
    found = list(operators.products(torch.float32))
    assert len(found) == 3 * len(operators.PRODUCTS)
    for index, (m, k, n) in enumerate(operators.PRODUCTS):
        layer, of_input, of_weight = (each.kernel for each in found[3 * index : 3 * index + 3])
        assert layer.shapes[-2:] == ((m, k), (k, n))
        assert of_input.shapes == ((m, n), (n, k))
        assert of_weight.shapes == ((n, m), (m, k))
        assert layer.flops == of_input.flops == of_weight.flops == 2 * m * n * k


def test_additions_touch_three_tensors(monkeypatch):
    monkeypatch.setattr(operators, "_LARGEST", 2**19)
    found = list(operators.additions())
    assert [each.kernel.nbytes for each in found] == [3 * 4 * 2**power for power in (17, 18, 19)]


def test_operators_are_those_of_a_network():
    names = {each.kernel.op for each in operators.elementwise(torch.float32)}
    assert {"aten.gelu", "aten.gelu_backward", "aten.native_layer_norm", "aten._log_softmax"} <= names


def test_attention_goes_forward_and_backward_causal_or_not():
    found = [each.kernel for each in operators.attention(torch.float32)]
    assert [kernel.op.endswith("_backward") for kernel in found] == [False, True] * len(operators.ATTENTION)
    assert [kernel.traits.count("causal") for kernel in found[::2]] == [causal for _, causal in operators.ATTENTION]


@pytest.mark.parametrize(("make", "words", "least_flops"), [(tiny_step, 8, 0), (usual_step, 1024, 3e9)])
def test_steps_of_the_calibration_are_steps(make, words, least_flops):
    step = make()
    untrained = torch.log(torch.tensor(float(words))).item()
    assert untrained / 2 < float(step.call()) < untrained * 1.1  # it does learn its few samples
    assert len(step.kernels) > 90
    assert sum(kernel.flops for kernel in step.kernels) > least_flops
