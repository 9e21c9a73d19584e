import json
import subprocess
import sys
from pathlib import Path

import pytest
from fujimi_core.errors import JobError
from fujimi_core.job import to_toml
from fujimi_core.offers import Model
from fujimi_core.workload import Collective, Kernel, Workload
from fujimi_train.capture import capture
from fujimi_train.plugin import fujimi_models

RECORDER = Path(__file__).with_name("record_ranks.py")
VIT_TINY = next(model for model in fujimi_models() if model.name == "vit_tiny")


def communication_between_products(events):
    """Collectives, and the matrix products they stand between."""
    return [
        [event.kind, event.nbytes, event.dtype, event.phase]
        if isinstance(event, Collective)
        else [event.op, [list(shape) for shape in event.shapes], event.flops]
        for event in events
        if isinstance(event, Collective) or event.flops
    ]


@pytest.mark.parametrize("ranks", [2, 4])
def test_capture_has_the_collectives_and_products_of_a_real_run_in_the_same_order(ranks, make_job, mpiexec, tmp_path):
    job = make_job(model={"name": "vit_tiny"}, train={"batch_per_rank": 2}, parallel={"bucket_bytes": 2**20})
    file, out = tmp_path / "job.toml", tmp_path / "recorded.json"
    file.write_text(to_toml(job))
    command = [mpiexec, "-n", str(ranks), sys.executable, str(RECORDER), str(file), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    captured = communication_between_products(capture(job, VIT_TINY, ranks=ranks).roles[0].events)
    assert sum(event[0] == "all_reduce" for event in captured) > 10
    assert json.loads(out.read_text()) == captured


def gradients(workload: Workload) -> int:
    return sum(event.nbytes for event in workload.roles[0].events if isinstance(event, Collective))


def test_world_of_all_fugaku_sends_each_gradient_once(make_job, tiny):
    workload = capture(make_job(), tiny, ranks=158_976)
    parameters = sum(parameter.numel() for parameter in tiny.build(make_job()).parameters())
    assert workload.mesh.world_size == 158_976
    assert workload.samples_per_step == 4 * 158_976
    loss = 4
    assert gradients(workload) == 4 * parameters + loss


def test_one_rank_does_not_communicate(make_job, tiny):
    assert gradients(capture(make_job(), tiny, ranks=1)) == 0


def test_flops_of_a_step_are_six_a_weight_and_token(make_job):
    job = make_job(model={"name": "vit_tiny", "patch": 16}, data={"pixels": 224}, train={"batch_per_rank": 2})
    workload = capture(job, VIT_TINY, ranks=1)
    tokens, width, depth = 197, 192, 12
    blocks = 6 * 12 * width**2 * depth * tokens
    attention = (4 + 10) * tokens**2 * width * depth
    patches = 6 * (tokens - 1) * 16 * 16 * width
    head = 6 * width * 3
    # the gradient with respect to the pictures is never needed
    unused = 2 * (tokens - 1) * 16 * 16 * width
    assert workload.flops == 2 * (blocks + attention + patches + head - unused)


def test_memory_of_optimizer_and_parameters_is_three_times_the_parameters(make_job, tiny):
    memory = capture(make_job(), tiny, ranks=8).roles[0].memory
    parameters = 4 * sum(parameter.numel() for parameter in tiny.build(make_job()).parameters())
    assert memory.parameter_bytes == parameters
    assert memory.optimizer_bytes == pytest.approx(2 * parameters, rel=0.01)
    assert memory.peak_bytes >= 4 * parameters
    total = memory.parameter_bytes + memory.gradient_bytes + memory.optimizer_bytes + memory.activation_bytes
    assert total == memory.peak_bytes


def test_steps_are_captured_the_same_each_time(make_job, tiny):
    assert capture(make_job(), tiny, ranks=64) == capture(make_job(), tiny, ranks=64)


def test_batch_that_does_not_divide_is_refused(make_job, tiny):
    job = make_job(train={"global_batch": 100, "batch_per_rank": None})
    with pytest.raises(JobError, match="global_batch 100 does not divide into 64 data-parallel ranks"):
        capture(job, tiny, ranks=64)


def test_phases_are_told_apart(make_job, tiny):
    events = capture(make_job(), tiny, ranks=2).roles[0].events
    kernels = [event for event in events if isinstance(event, Kernel)]
    assert list(dict.fromkeys(kernel.phase for kernel in kernels)) == [
        "forward",
        "backward",
        "optimizer",
    ]


def test_any_plugins_network_is_captured(make_job):
    import torch

    class Mean(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.head = torch.nn.Linear(1, 3)

        def forward(self, x):
            return self.head(x.mean(dim=(1, 2, 3))[:, None])

    workload = capture(make_job(), Model(name="mean", summary="", build=lambda _: Mean()), ranks=2)
    assert gradients(workload) == 4 * (3 + 3) + 4
