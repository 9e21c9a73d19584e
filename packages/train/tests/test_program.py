import pytest
import torch
from fujimi_core.job import Precision
from fujimi_core.mesh import Mesh
from fujimi_parallel.world import World
from fujimi_train.program import Program, adamw, normalise

ALONE = World(rank=0, mesh=Mesh.of(dp=1))
CPU = torch.device("cpu")


def batch(size=4):
    generator = torch.Generator().manual_seed(1)
    pictures = torch.randint(0, 256, (size, 16, 16), dtype=torch.uint8, generator=generator)
    return pictures, torch.arange(size) % 3


def test_loss_of_a_batch_goes_down_from_that_of_guessing(make_job, tiny):
    program = Program(make_job(train={"steps": 40}), tiny, ALONE, device=CPU)
    losses = [program.step(number, *batch()).item() for number in range(40)]
    assert losses[0] == pytest.approx(torch.tensor(3.0).log().item(), abs=0.3)
    assert losses[-1] < 0.5 * losses[0]


def test_same_seed_gives_the_same_losses_also_with_drop_path(make_job, tiny):
    job = make_job(model={"drop_path": 0.5})
    first, second = (Program(job, tiny, ALONE, device=CPU) for _ in range(2))
    assert [first.step(n, *batch()).item() for n in range(3)] == [second.step(n, *batch()).item() for n in range(3)]


def test_bfloat16_keeps_parameters_in_float32_and_the_loss_close(make_job, tiny):
    job = make_job()
    exact = Program(job, tiny, ALONE, device=CPU)
    mixed = Program(job.with_precision(Precision.BFLOAT16), tiny, ALONE, device=CPU)
    assert mixed.step(0, *batch()).item() == pytest.approx(exact.step(0, *batch()).item(), rel=0.02)
    assert {parameter.dtype for parameter in mixed.model.parameters()} == {torch.float32}


def test_undecided_precision_is_refused(make_job, tiny):
    with pytest.raises(ValueError, match="precision"):
        Program(make_job(train={"precision": "auto"}), tiny, ALONE, device=CPU)


def test_weight_decay_leaves_out_biases_norms_and_tokens(make_job, tiny):
    job = make_job(optimizer={"weight_decay": 0.3})
    model = tiny.build(job)
    decay = {id(p): group["weight_decay"] for group in adamw(model, job).param_groups for p in group["params"]}
    decayed = {name for name, parameter in model.named_parameters() if decay[id(parameter)]}
    assert len(decay) == len(list(model.parameters()))
    assert "blocks.0.fc1.weight" in decayed
    assert "embed.patches.weight" in decayed
    others = {"embed.class_token", "embed.positions", "head.norm.weight", "blocks.0.fc1.bias", "head.linear.bias"}
    assert others < set(dict(model.named_parameters()))
    assert not others & decayed


def test_clipping_limits_what_a_step_sees_of_the_gradient(make_job, tiny):
    seen = []
    program = Program(make_job(optimizer={"clip_norm": 1e-3}), tiny, ALONE, device=CPU)
    program.optimizer.register_step_pre_hook(
        lambda *_: seen.append(torch.cat([p.grad.flatten() for p in program.model.parameters()]).norm().item())
    )
    program.step(0, *batch())
    assert seen[0] == pytest.approx(1e-3, rel=1e-3)


def test_normalised_pictures_lie_between_minus_one_and_one():
    grey = torch.tensor([0, 255, 127], dtype=torch.uint8).reshape(1, 1, 3)
    x = normalise(grey, channels=2)
    assert x.shape == (1, 2, 1, 3)
    torch.testing.assert_close(x[0, 1, 0], torch.tensor([-1.0, 1.0, -1 / 255]))
