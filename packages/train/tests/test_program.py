import pytest
import torch
import torch.nn.functional as F
from fujimi_core.job import Precision
from fujimi_core.mesh import Mesh
from fujimi_parallel.capture.fake_world import fake_world
from fujimi_parallel.world import World
from fujimi_train.program import Program, normalise

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
    assert {piece.values.dtype for piece in mixed.pieces} == {torch.float32}


def test_undecided_precision_is_refused(make_job, tiny):
    with pytest.raises(ValueError, match="precision"):
        Program(make_job(parallel={"precision": "auto"}), tiny, ALONE, device=CPU)


def test_weight_decay_leaves_out_biases_norms_and_tokens(make_job, tiny):
    job = make_job(optimizer={"weight_decay": 0.3})
    program = Program(job, tiny, ALONE, device=CPU)
    decay = {id(p): group["weight_decay"] for group in program.optimizer.param_groups for p in group["params"]}
    decayed = {piece.name for piece in program.pieces if decay[id(piece.values)]}
    names = set(dict(tiny.build(job).named_parameters()))
    assert {piece.name for piece in program.pieces} == names
    assert len(decay) == len(names)
    assert set(decay.values()) == {0.0, 0.3}
    assert "blocks.0.fc1.weight" in decayed
    assert "embed.patches.weight" in decayed
    others = {"embed.class_token", "embed.positions", "head.norm.weight", "blocks.0.fc1.bias", "head.linear.bias"}
    assert others < names
    assert not others & decayed


def test_weight_decay_goes_by_the_shape_of_whole_parameters_where_ranks_share_them(make_job, make_planned_model):
    job = make_job(optimizer={"weight_decay": 0.3}, parallel={"zero": 3, "tensor": 2})
    with fake_world(Mesh.of(dp=8)) as world:
        program = Program(job, make_planned_model("vit", 1), world, device=CPU)
        decaying = {id(p) for p in program.optimizer.param_groups[0]["params"]}
        decayed = {piece.name: id(piece.values) in decaying for piece in program.pieces}
    assert all(piece.values.dim() == 1 for piece in program.pieces)
    # a rank has its part of each block, from some name on
    assert decayed.pop("head.linear.weight", True)
    assert not any(decays for name, decays in decayed.items() if name.endswith("bias") or "norm" in name)
    assert any(decayed.values())


def test_clipping_limits_what_a_step_sees_of_the_gradient(make_job, tiny):
    seen = []
    program = Program(make_job(optimizer={"clip_norm": 1e-3}), tiny, ALONE, device=CPU)
    program.optimizer.register_step_pre_hook(
        lambda *_: seen.append(torch.cat([piece.values.grad.flatten() for piece in program.pieces]).norm().item())
    )
    program.step(0, *batch())
    assert seen[0] == pytest.approx(1e-3, rel=1e-3)


def test_summary_is_the_loss_the_norm_of_all_gradients_and_what_ranks_say(make_job, tiny):
    job = make_job(train={"label_smoothing": 0.1})
    program = Program(job, tiny, ALONE, device=CPU)
    model = tiny.build(job)
    model.load_state_dict({piece.name: piece.values.detach() for piece in program.pieces})
    pictures, labels = batch()
    loss = F.cross_entropy(model(normalise(pictures, channels=1)), labels, label_smoothing=0.1)
    loss.backward()
    norm = torch.cat([parameter.grad.flatten() for parameter in model.parameters()]).norm()
    found = program.gradients(0, pictures, labels, says=(3.0, True))
    assert found.dtype == torch.float64
    torch.testing.assert_close(found.float(), torch.stack([loss, norm, torch.tensor(3.0), torch.tensor(1.0)]))
    assert all(torch.equal(piece.values, model.get_parameter(piece.name)) for piece in program.pieces)


def test_labels_that_are_shares_have_the_loss_of_their_means(make_job, tiny):
    job = make_job(train={"label_smoothing": 0.1})
    program = Program(job, tiny, ALONE, device=CPU)
    pictures, labels = batch()
    others = (labels + 1) % 3
    losses = [program.gradients(0, pictures, each)[0] for each in (labels, others)]
    shares = 0.25 * F.one_hot(labels, 3) + 0.75 * F.one_hot(others, 3)
    torch.testing.assert_close(program.gradients(0, pictures, shares)[0], 0.25 * losses[0] + 0.75 * losses[1])


def test_normalised_pictures_lie_between_minus_one_and_one():
    grey = torch.tensor([0, 255, 127], dtype=torch.uint8).reshape(1, 1, 3)
    x = normalise(grey, channels=2)
    assert x.shape == (1, 2, 1, 3)
    torch.testing.assert_close(x[0, 1, 0], torch.tensor([-1.0, 1.0, -1 / 255]))


def test_mean_and_standard_deviation_become_zero_and_one():
    pictures = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    x = pictures.float() / 255
    found = normalise(pictures, channels=1, mean=x.mean().item(), std=x.std().item())
    assert found.mean().item() == pytest.approx(0, abs=1e-6)
    assert found.std().item() == pytest.approx(1, rel=1e-6)


def test_job_says_how_pictures_are_normalised(make_job, tiny):
    pictures, labels = batch()
    plain, bright = (
        Program(make_job(data=data), tiny, ALONE, device=CPU) for data in ({}, {"mean": 0.25, "std": 0.25})
    )
    # (2 x - 0.5) / 0.5 and (x - 0.25) / 0.25 are the same numbers
    half = pictures // 2 * 2
    losses = [plain.gradients(0, half, labels)[0], bright.gradients(0, half // 2, labels)[0]]
    torch.testing.assert_close(losses[0], losses[1])
