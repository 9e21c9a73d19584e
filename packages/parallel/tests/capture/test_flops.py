import pytest
import torch
import torch.nn.functional as F
from fujimi_core.workload import Kernel
from fujimi_parallel.capture.flops import attention_backward_flops, attention_forward_flops
from fujimi_parallel.capture.recorder import Recorder
from torch.utils.flop_counter import sdpa_backward_flop_count, sdpa_flop_count

SHAPES = [((2, 3, 5, 8), (2, 3, 7, 8), (2, 3, 7, 4)), ((1, 12, 197, 64), (1, 12, 197, 64), (1, 12, 197, 64))]


@pytest.mark.parametrize(("query", "key", "value"), SHAPES)
def test_attention_forward_counts_as_torch_does_for_gpus(query, key, value):
    assert attention_forward_flops(query, key, value) == sdpa_flop_count(query, key, value)


@pytest.mark.parametrize(("query", "key", "value"), SHAPES)
def test_attention_backward_counts_as_torch_does_for_gpus(query, key, value):
    gradient = (*query[:3], value[3])
    assert attention_backward_flops(query, key, value) == sdpa_backward_flop_count(gradient, query, key, value)


def test_recorded_attention_has_flops_in_both_directions():
    query, key, value = (torch.randn(1, 2, 16, 8, requires_grad=True) for _ in range(3))
    with Recorder() as recorder:
        F.scaled_dot_product_attention(query, key, value).sum().backward()
    flops = {event.phase: event.flops for event in recorder.events if isinstance(event, Kernel) and event.flops}
    assert flops == {"forward": 2 * 2 * 2 * 16 * 16 * 8, "backward": 5 * 2 * 2 * 16 * 16 * 8}


def test_linear_layer_costs_two_flops_a_weight_and_sample_forward_and_four_backward():
    layer, x = torch.nn.Linear(32, 48), torch.randn(10, 32, requires_grad=True)
    with Recorder() as recorder:
        layer(x).sum().backward()
    flops = {"forward": 0, "backward": 0}
    for event in recorder.events:
        flops[event.phase] += event.flops
    assert flops == {"forward": 2 * 10 * 32 * 48, "backward": 4 * 10 * 32 * 48}
