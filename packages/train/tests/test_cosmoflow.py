import itertools

import pytest
import torch
from fujimi_core.errors import JobError
from fujimi_core.workload import Kernel
from fujimi_train.capture import capture
from fujimi_train.cosmoflow import CosmoFlow
from fujimi_train.plugin import fujimi_models

(MODEL,) = [model for model in fujimi_models() if model.name == "cosmoflow"]
FILTERS = (4, 32, 64, 128, 256, 512)


def products(pixels, kernel):
    """Multiply-adds of each convolution of a volume, layer by layer."""
    sides = [pixels // 2**layer for layer in range(5)]
    return [side**3 * kernel**3 * FILTERS[layer] * FILTERS[layer + 1] for layer, side in enumerate(sides)]


def test_network_has_the_parameters_of_its_layers():
    with torch.device("meta"):
        network = CosmoFlow(pixels=128, channels=4, classes=4, kernel=3)
    convolutions = sum(27 * before * after + after for before, after in itertools.pairwise(FILTERS))
    linear = (4**3 * 512 + 1) * 128 + 129 * 64 + 65 * 4
    assert sum(parameter.numel() for parameter in network.parameters()) == convolutions + linear


@pytest.mark.parametrize("kernel", [2, 3])
def test_volumes_are_halved_five_times_and_logits_come_out(kernel):
    torch.manual_seed(0)
    network = CosmoFlow(pixels=32, channels=2, classes=3, kernel=kernel)
    pictures = torch.randn(2, 2, 32, 32)
    assert network.layers(pictures[:, :, None].expand(-1, -1, 32, -1, -1)).shape == (2, 512, 1, 1, 1)
    assert network(pictures).shape == (2, 3)


def test_capture_counts_all_arithmetic_of_convolutions_but_for_the_gradient_of_the_data(make_job):
    job = make_job(
        model={"name": "cosmoflow", "patch": 4, "channels": 4},
        data={"pixels": 64, "classes": 4},
        train={"global_batch": None, "batch_per_rank": 3},
    )
    (role,) = capture(job, MODEL, ranks=4).roles
    flops = dict.fromkeys(("aten.convolution", "aten.convolution_backward"), 0)
    for event in role.events:
        if isinstance(event, Kernel) and event.op in flops:
            flops[event.op] += event.flops
    layers = [3 * 2 * each for each in products(64, 3)]
    assert flops["aten.convolution"] == sum(layers)
    assert flops["aten.convolution_backward"] == 2 * sum(layers) - layers[0]


def test_volumes_that_cannot_be_halved_are_refused(make_job):
    job = make_job(model={"name": "cosmoflow", "patch": 4, "channels": 4}, data={"pixels": 48, "classes": 4})
    with pytest.raises(JobError, match=r"data\.pixels: volumes of 48 voxels cannot be halved 5 times"):
        MODEL.build(job)
