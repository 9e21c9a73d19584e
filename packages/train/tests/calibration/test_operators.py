"""Operators that are timed, as a capture sees them."""

import pytest
import torch
from fujimi_train.calibration import operators
from fujimi_train.calibration.steps import tiny_step


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


def test_the_tiny_step_does_a_step():
    step = tiny_step()
    assert float(step.call()) == pytest.approx(torch.log(torch.tensor(8.0)).item(), rel=0.1)  # of 8 words, untrained
    assert step.kernels > 100
