"""DDP, FSDP2, tensor parallelism, pipelining and checkpoints of torch on four ranks, against one process."""

import copy
import sys
import warnings
from pathlib import Path

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from fujimi_core.mesh import Mesh
from fujimi_parallel.groups import device_mesh
from harness import run_checks
from torch import nn
from torch.distributed.checkpoint.state_dict import get_model_state_dict
from torch.distributed.fsdp import fully_shard
from torch.distributed.pipelining import PipelineStage, Schedule1F1B, ScheduleInterleavedZeroBubble
from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module
from torch.nn.parallel import DistributedDataParallel

STEPS = 3
WIDTH = 16
SAMPLES = 8


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.Linear(WIDTH, 4 * WIDTH)
        self.down = nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        return x + self.down(torch.tanh(self.up(x)))


def model_of(blocks=4):
    torch.manual_seed(0)
    return nn.Sequential(*(Block() for _ in range(blocks)))


def samples():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(SAMPLES, WIDTH, generator=generator), torch.randn(SAMPLES, WIDTH, generator=generator)


def share_of_samples():
    rank, ranks = dist.get_rank(), dist.get_world_size()
    return [tensor.chunk(ranks)[rank] for tensor in samples()]


def loss_of(output, wanted):
    return ((output - wanted) ** 2).mean()


def train(model, inputs, wanted):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss_of(model(inputs), wanted).backward()
        optimizer.step()
    return model


def trained_alone(blocks=4):
    return train(model_of(blocks), *samples())


def full(tensor):
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def assert_same(model, expected):
    for (name, found), wanted in zip(model.named_parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(full(found.detach()), wanted.detach(), rtol=1e-5, atol=1e-6, msg=name)


def check_ddp_trains_as_one_process_and_all_ranks_agree_in_every_bit():
    model = DistributedDataParallel(model_of(), bucket_cap_mb=0.01, gradient_as_bucket_view=True)
    train(model, *share_of_samples())
    assert_same(model.module, trained_alone())
    mine = torch.cat([parameter.detach().view(-1) for parameter in model.parameters()])
    everyones = [torch.empty_like(mine) for _ in range(4)]
    dist.all_gather(everyones, mine)
    assert all(torch.equal(each, mine) for each in everyones)


def check_fsdp2_trains_as_one_process():
    model = model_of()
    mesh = device_mesh(Mesh.of(dp=4))
    for block in model:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    assert_same(train(model, *share_of_samples()), trained_alone())


def check_fsdp2_of_two_axes_trains_as_one_process():
    model = model_of()
    mesh = device_mesh(Mesh.of(replicate=2, shard=2))
    for block in model:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    assert_same(train(model, *share_of_samples()), trained_alone())


def check_tensor_parallelism_with_fsdp2_trains_as_one_process():
    mesh = device_mesh(Mesh.of(dp=2, tp=2))
    model = model_of()
    for block in model:
        parallelize_module(block, mesh["tp"], {"up": ColwiseParallel(), "down": RowwiseParallel()})
        fully_shard(block, mesh=mesh["dp"])
    inputs, wanted = (tensor.chunk(2)[mesh["dp"].get_local_rank()] for tensor in samples())
    assert_same(train(model, inputs, wanted), trained_alone())


def pipeline_loss_and_gradients(schedule_of, stages_a_rank):
    """Gradients of this rank's stages of a pipeline over all ranks."""
    rank, stages = dist.get_rank(), 4 * stages_a_rank
    model = model_of(stages)
    inputs, wanted = samples()
    numbers = range(rank, stages, 4)
    mine = [PipelineStage(copy.deepcopy(model[number]), number, stages, torch.device("cpu")) for number in numbers]
    schedule = schedule_of(mine)
    losses = []
    schedule.step(*([inputs] if rank == 0 else []), **({"target": wanted, "losses": losses} if rank == 3 else {}))
    whole = model_of(stages)
    expected = loss_of(whole(inputs), wanted)
    expected.backward()
    if rank == 3:
        torch.testing.assert_close(torch.stack(losses).mean(), expected)
    for number, stage in zip(numbers, mine, strict=True):
        for found, alone in zip(stage.submod.parameters(), whole[number].parameters(), strict=True):
            torch.testing.assert_close(found.grad, alone.grad, rtol=1e-5, atol=1e-6)


def check_one_forward_one_backward_pipeline_finds_the_gradients_of_one_process():
    pipeline_loss_and_gradients(lambda stages: Schedule1F1B(stages[0], n_microbatches=4, loss_fn=loss_of), 1)


def check_zero_bubble_pipeline_finds_the_gradients_of_one_process():
    pipeline_loss_and_gradients(
        lambda stages: ScheduleInterleavedZeroBubble(stages, n_microbatches=4, loss_fn=loss_of), 2
    )


def check_checkpoint_of_one_mesh_is_loaded_into_another():
    folder = Path(sys.argv[1]) / "checkpoint"
    saved = model_of()
    for block in saved:
        fully_shard(block, mesh=device_mesh(Mesh.of(dp=4)))
    train(saved, *share_of_samples())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dcp.save(get_model_state_dict(saved), checkpoint_id=folder)
        dcp.async_save(get_model_state_dict(saved), checkpoint_id=folder.with_name("later")).result()
        for place in (folder, folder.with_name("later")):
            mesh = device_mesh(Mesh.of(replicate=2, shard=2))
            loaded = model_of()
            for block in loaded:
                fully_shard(block, mesh=mesh)
            nn.init.zeros_(loaded[0].up.bias)
            state = get_model_state_dict(loaded)
            dcp.load(state, checkpoint_id=place)
            assert_same(loaded, trained_alone())


if __name__ == "__main__":
    run_checks(dict(globals()))
