"""Runs the parts of the engine on four ranks; each rank writes down how far they are from one process or from torch."""

import contextlib
import gc
import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from fujimi_core.job import from_table
from fujimi_core.launch import launch_of
from fujimi_core.mesh import Mesh
from fujimi_core.offers import Model, Sharding, Style
from fujimi_core.plan import plan_of
from fujimi_parallel.axes import Axes
from fujimi_parallel.losses import cross_entropy
from fujimi_parallel.network import Network
from fujimi_parallel.stage import Builder
from fujimi_parallel.tensor_parallel import share
from fujimi_parallel.world import World
from fujimi_parallel.zero import DataParallel
from torch import nn

WORDS, TOKENS, WIDTH, HEADS, BATCH = 12, 8, 16, 4, 8
PLANS = {
    "data": {},
    "zero 1": {"zero": 1},
    "zero 2, two passes": {"zero": 2, "accumulate": 2},
    "zero 3": {"zero": 3, "recompute": "full"},
    "gradients in bfloat16": {"grad_reduce_dtype": "bfloat16"},
    "tensor": {"tensor": 4},
    "pipeline": {"pipeline": 4, "microbatch": 1},
    "sequence": {"sequence": 4},
    "tensor and pipeline": {"tensor": 2, "pipeline": 2, "schedule": "zero-bubble"},
    "tensor, recompute selective": {"tensor": 4, "recompute": "selective"},
    "tensor and pipeline, zero-bubble, recompute selective": {
        "tensor": 2,
        "pipeline": 2,
        "schedule": "zero-bubble",
        "recompute": "selective",
    },
    "pipeline and data": {"pipeline": 2, "schedule": "interleaved", "virtual_stages": 2, "zero": 3},
    "sequence and tensor": {"sequence": 2, "tensor": 2, "zero": 1, "placement": ["tp", "sp", "dp", "pp"]},
    "few microbatches": {"pipeline": 4, "microbatch": 4},
}


def apart(found, right):
    """Largest difference over the largest element."""
    assert found.isfinite().all()
    return ((found - right).abs().max() / right.abs().max()).item()


# -- layers and loss that a group shares


class Perceptron(nn.Module):
    """An embedding, then a column layer, whose outputs are the inputs of a row layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(5)
        self.words, self.fc1, self.fc2 = nn.Embedding(24, 12), nn.Linear(12, 36), nn.Linear(36, 12)

    def forward(self, words):
        return self.fc2(F.gelu(self.fc1(self.words(words))))


def layers(group):
    """Output and gradients of shared layers, and which part of each parameter this rank has."""
    whole, shared = Perceptron(), Perceptron()
    styles = {"words": Style.VOCABULARY, "fc1": Style.COLUMN, "fc2": Style.ROW}
    cuts = {
        f"{name}.{key}": cut
        for name, style in styles.items()
        for key, cut in share(shared.get_submodule(name), style, group, name=name).items()
    }
    words = torch.randint(24, (3, 7))
    outputs = [model(words) for model in (whole, shared)]
    for output in outputs:
        output.square().mean().backward()
    parts = dict(whole.named_parameters())
    right = {
        name: parts[name].grad.narrow(cuts[name][0], cuts[name][1], cuts[name][2] - cuts[name][1])
        if name in cuts
        else parts[name].grad
        for name in parts
    }
    return {
        "output": apart(outputs[1].detach(), outputs[0].detach()),
        "gradients": {name: apart(p.grad, right[name]) for name, p in shared.named_parameters()},
        "cuts": cuts,
        "shapes": {name: tuple(parameter.shape) for name, parameter in shared.named_parameters()},
    }


def loss(group, *, smoothing, scale=1.0, dtype=torch.float32, leading=(6,)):
    """Differences of value and gradient from torch's own."""
    torch.manual_seed(7)
    classes = 6
    logits = (scale * torch.randn(*leading, classes * group.size())).to(dtype).requires_grad_()
    labels = torch.randint(classes * group.size(), leading)
    right = 3 * F.cross_entropy(logits.float().flatten(0, -2), labels.flatten(), label_smoothing=smoothing)
    right.backward()
    mine = slice(group.rank() * classes, (group.rank() + 1) * classes)
    part = logits.detach()[..., mine].clone().requires_grad_()
    found = 3 * cross_entropy(part, labels, label_smoothing=smoothing, group=group)
    found.backward()
    assert part.grad.dtype == dtype
    return [apart(found.detach(), right.detach()), apart(part.grad.float(), logits.grad[..., mine].float())]


def losses(group):
    return {
        "plain": loss(group, smoothing=0.0),
        "smoothed": loss(group, smoothing=0.1),
        "only smoothing": loss(group, smoothing=1.0),
        "of tokens": loss(group, smoothing=0.1, leading=(2, 5)),
        "large logits": loss(group, smoothing=0.1, scale=1e4),
        "bfloat16": loss(group, smoothing=0.1, dtype=torch.bfloat16),
    }


# -- data parallelism


class Two(nn.Module):
    """Two layers and one that only some use."""

    def __init__(self, width=64):
        super().__init__()
        torch.manual_seed(8)
        self.a, self.b, self.idle = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, 3)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x)))


def shared_out(group, level, *, dtype=torch.float32, compute_dtype=torch.float32, by_module=True, width=64):
    """A model whose data-parallel ranks share so much."""
    model = Two(width)
    data = DataParallel(group, level=level, dtype=dtype, compute_dtype=compute_dtype)
    if by_module:
        for name, module in model.named_children():
            data.add({f"{name}.{key}": parameter for key, parameter in module.named_parameters()}, module=module)
    else:
        data.add(dict(model.named_parameters()))
    return model, data


def samples(group, passes):
    torch.manual_seed(9)
    return torch.randn(passes, group.size(), 4, 64)[:, group.rank()]


def whole(group, data, numels):
    """Values of all parameters, and their gradients, put together from the pieces of all ranks."""
    values = {name: torch.zeros(2, numel) for name, numel in numels.items()}
    if data.level > 0 or group.rank() == 0:
        for piece in data.pieces():
            values[piece.name][0, piece.start : piece.stop] = piece.values.detach().flatten()
            values[piece.name][1, piece.start : piece.stop] = piece.values.grad.flatten()
    for value in values.values():
        dist.all_reduce(value, group=group)
    return values


def trained(group, level, *, passes=1, **how):
    """Parameters, and gradients of the last of three steps."""
    numels = {name: parameter.numel() for name, parameter in Two().named_parameters()}
    model, data = shared_out(group, level, **how)
    optimizer = torch.optim.AdamW([piece.values for piece in data.pieces()], lr=0.01)
    for _ in range(3):
        data.begin()
        for number, x in enumerate(samples(group, passes)):
            data.last_pass = number == passes - 1
            model(x.to(data.compute_dtype)).square().sum().backward()
        data.finish()
        optimizer.step()
        data.updated()
    return whole(group, data, numels)


def alone(group, *, passes=1):
    """The same by one process with all samples."""
    model = Two()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    torch.manual_seed(9)
    x = torch.randn(passes, group.size(), 4, 64).flatten(0, 2)
    for _ in range(3):
        optimizer.zero_grad()
        (model(x).square().sum() + 0 * model.idle(x).sum()).backward()
        optimizer.step()
    return {name: torch.stack([p.detach().flatten(), p.grad.flatten()]) for name, p in model.named_parameters()}


def alone_with_copies(group, *, passes):
    """The same with a bfloat16 copy of each parameter, whose gradients are summed in float32, rank by rank."""
    model = Two()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    torch.manual_seed(9)
    x = torch.randn(passes, group.size(), 4, 64)
    for _ in range(3):
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        for part in x.flatten(0, 1):
            copy = Two()
            copy.load_state_dict(model.state_dict())
            copy.bfloat16()(part.bfloat16()).square().sum().backward()
            for parameter, of_copy in zip(model.parameters(), copy.parameters(), strict=True):
                if of_copy.grad is not None:
                    parameter.grad += of_copy.grad
        optimizer.step()
    return {name: torch.stack([p.detach().flatten(), p.grad.flatten()]) for name, p in model.named_parameters()}


def furthest(found, right):
    """Over all parameters; the idle ones have no gradient."""
    assert not found["idle.weight"][1].any()
    return max(apart(found[name], right[name]) for name in right)


def zero(group):
    right, right_twice = alone(group), alone(group, passes=2)
    levels = [trained(group, level) for level in range(4)]
    twice = [trained(group, level, passes=2) for level in range(4)]
    return {
        "bit-equal": [all(torch.equal(found[name], levels[0][name]) for name in found) for found in levels],
        "from one process": [furthest(found, right) for found in levels],
        "two passes": [furthest(found, right_twice) for found in twice],
        "one unit": [furthest(trained(group, level, by_module=False), right) for level in range(3)],
        "copies": [
            furthest(
                trained(group, level, passes=passes, compute_dtype=torch.bfloat16),
                alone_with_copies(group, passes=passes),
            )
            for level in range(4)
            for passes in (1, 2)
        ],
        "bfloat16": [apart_in_bfloat16(group, level) for level in range(4)],
        "bytes": [bytes_alive(group, level) for level in range(4)],
    }


def apart_in_bfloat16(group, level):
    """Of the gradients of one pass."""
    gradients = []
    for dtype in (torch.float32, torch.bfloat16):
        model, data = shared_out(group, level, dtype=dtype)
        numels = {name: parameter.numel() for name, parameter in Two().named_parameters()}
        data.begin()
        model(samples(group, 1)[0]).square().sum().backward()
        data.finish()
        gradients.append(whole(group, data, numels)["a.weight"][1])
    return apart(gradients[1], gradients[0])


def bytes_alive(group, level):
    """Bytes an element of the tensors that a rank keeps from step to step, and what `DataParallel` says of them."""
    width = 200
    gc.collect()
    before = {tensor.untyped_storage() for tensor in tensors_alive()}
    model, data = shared_out(group, level, width=width)
    optimizer = torch.optim.AdamW([piece.values for piece in data.pieces()])
    data.begin()
    model(torch.ones(1, width)).sum().backward()
    data.finish()
    optimizer.step()
    data.updated()
    gc.collect()
    kept = {tensor.untyped_storage() for tensor in tensors_alive()} - before
    numel = sum(parameter.numel() for parameter in Two(width).parameters())
    found = [sum(storage.nbytes() for storage in kept), data.parameter_bytes, data.gradient_bytes]
    return [nbytes / numel for nbytes in found]


def tensors_alive():
    tensors = [found for found in gc.get_objects() if type(found) in (torch.Tensor, nn.Parameter)]
    return tensors + [tensor.grad for tensor in tensors if tensor.is_leaf and tensor.grad is not None]


# -- whole networks


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(WORDS, WIDTH)
        self.positions = nn.Parameter(torch.empty(1, TOKENS, WIDTH))
        self.reset_parameters()

    def reset_parameters(self):
        nn.init.normal_(self.positions)

    def forward(self, words):
        return self.words(words) + self.positions


class Block(nn.Module):
    """Of the outputs of ``qkv``, query, key and value of each head follow one another."""

    def __init__(self):
        super().__init__()
        self.heads = HEADS
        self.norm, self.qkv, self.proj = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, x):
        qkv = self.qkv(self.norm(x)).unflatten(2, (-1, 3, WIDTH // HEADS))
        query, key, value = qkv.permute(3, 0, 2, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return x + self.proj(mixed.transpose(1, 2).flatten(2))


class Head(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, WORDS)

    def forward(self, x):
        return self.linear(self.norm(x))


class Language(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.blocks, self.head = Words(), nn.Sequential(*(Block() for _ in range(4))), Head()

    def forward(self, words):
        return self.head(self.blocks(self.embed(words)))


SHARDING = Sharding(
    first="embed",
    blocks="blocks",
    last="head",
    styles={
        "embed.words": Style.VOCABULARY,
        "blocks.*.qkv": Style.COLUMN,
        "blocks.*.proj": Style.ROW,
        "head.linear": Style.COLUMN,
    },
    heads="blocks.*.heads",
    whole_sequence=False,
    causal=True,
)


def builder(axes, seed=3):
    with torch.device("meta"):
        model = Language()
    return Builder(model, SHARDING, axes, device=torch.device("cpu"), seed=seed)


def values_alone(seed=3):
    """Initial values of all parameters, built by one process in one stage."""
    mesh = Mesh.of(pp=1, dp=1, sp=1, tp=1)
    stage = builder(Axes(World(rank=0, mesh=mesh), mesh), seed).build(0, 1, ready=lambda *_: None)
    return stage.parameters_by_name()


def initial_values(rank):
    """Whether those of each layout are bit-equal to those of one process, of which each is somewhere."""
    right, found = values_alone(), {}
    for name, extents in {"tensor": (1, 4), "pipeline": (4, 1), "both": (2, 2)}.items():
        mesh = Mesh.of(pp=extents[0], dp=1, sp=1, tp=extents[1])
        axes = Axes(World(rank=rank, mesh=mesh), mesh)
        stage = builder(axes).build(axes.at("pp"), extents[0], ready=lambda *_: None)
        parameters = stage.parameters_by_name()
        assert set(parameters) == set(stage.held)
        cut = {key: right[key][tuple(slice(*dim) for dim in held.block)] for key, held in stage.held.items()}
        equal = all(torch.equal(parameters[key], cut[key]) for key in parameters)
        shapes = all(held.shape == tuple(right[key].shape) for key, held in stage.held.items())
        found[name] = [equal and shapes, sum(parameter.numel() for parameter in parameters.values())]
    return found


def job(parallel, model="language"):
    return from_table(
        {
            "name": "engine",
            "model": {"name": model},
            "data": {"family": "tokens", "sequence": TOKENS, "vocabulary": WORDS},
            "train": {"steps": 1, "global_batch": BATCH, "label_smoothing": 0.1},
            "seed": 3,
            "parallel": parallel,
        }
    )


def network(parallel, rank, world, *, sharding=SHARDING):
    wanted = job(parallel)
    plan = plan_of(wanted, world)
    return Network(
        Model(name="language", summary="", build=lambda _: Language(), sharding=sharding),
        wanted,
        plan,
        Axes(World(rank=rank, mesh=plan.mesh), plan.mesh),
        example=torch.empty(plan.microbatch, TOKENS, dtype=torch.int64, device="meta"),
        device=torch.device("cpu"),
        compute_dtype=torch.float32,
        forward_context=contextlib.nullcontext,
    )


def words():
    drawn = torch.randint(WORDS, (BATCH, TOKENS + 1), generator=torch.Generator().manual_seed(2))
    return drawn[:, :-1], drawn[:, 1:]


def of_autograd(model):
    """Loss and gradients of a whole network and all samples at once."""
    inputs, labels = words()
    value = F.cross_entropy(model(inputs).flatten(0, 1), labels.flatten(), label_smoothing=0.1)
    value.backward()
    return value.item(), {name: parameter.grad for name, parameter in model.named_parameters()}


def language():
    """The whole network with the values that the engine gives it."""
    model = Language()
    model.load_state_dict(values_alone())
    return model


def plan_apart(parallel, rank, right):
    """Of loss and gradients from autograd's; and whether each element has one rank that speaks for it."""
    value, gradients = right
    found = network(parallel, rank, dist.get_world_size())
    inputs, labels = words()
    first, batch = found.axes.at("dp") * found.plan.batch, found.plan.batch
    mine = slice(first, first + batch)
    share_of_loss = found.gradients(inputs[mine] if found.has_first else None, labels[mine] if found.has_last else None)
    speaks = found.axes.is_first("tp") and share_of_loss is not None
    total = share_of_loss.clone() if speaks else torch.zeros(())
    dist.all_reduce(total)
    counted = torch.tensor(sum(piece.values.numel() for piece in found.pieces() if found.is_counted(piece)))
    dist.all_reduce(counted)
    worst = 0.0
    for piece in found.pieces():
        right_one = gradients[piece.name]
        part = right_one[tuple(slice(*dim) for dim in found.held(piece.name).block)].flatten()
        assert piece.values.grad.isfinite().all()
        difference = (piece.values.grad.flatten() - part[piece.start : piece.stop]).abs().max()
        worst = max(worst, (difference / right_one.abs().max()).item())
    return [abs(total.item() - value) / value, worst, counted.item()]


def networks(rank):
    right = of_autograd(language())
    return {name: plan_apart(parallel, rank, right) for name, parallel in PLANS.items()}


def no_table(rank):
    """A model without sharding table, that all ranks have, or share all parameters of."""
    torch.manual_seed(3)
    right = of_autograd(Language())
    worst = {}
    for level in (0, 3):
        found = network({"zero": level}, rank, 4, sharding=None)
        inputs, labels = (part[rank * 2 : rank * 2 + 2] for part in words())
        found.gradients(inputs, labels)
        worst[level] = max(
            apart(piece.values.grad.flatten(), right[1][piece.name].flatten()[piece.start : piece.stop])
            for piece in found.pieces()
        )
    return worst


def main():
    launch = launch_of(os.environ)
    rank, world = launch.rank, launch.world_size
    torch.set_num_threads(1)
    store = dist.FileStore(str(Path(sys.argv[1]) / "store"), world)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=world, timeout=timedelta(seconds=90))
    # torch names groups by their ranks and by how many the rank has: all must have equally many
    groups = [dist.new_group(ranks) for ranks in ([0, 1], [2, 3], [0, 1, 2], [3])]
    mine = {str(group.size()): group for group in groups if isinstance(group, dist.ProcessGroup) and group.size() > 1}
    found = {
        "layers": {size: layers(group) for size, group in mine.items()},
        "losses": {size: losses(group) for size, group in mine.items()},
        "zero": zero(mine["2"]),
        "bytes on 4 ranks": [bytes_alive(dist.group.WORLD, level) for level in range(4)],
        "initial values": initial_values(rank),
        "networks": networks(rank),
        "no table": no_table(rank),
    }
    (Path(sys.argv[1]) / str(rank)).write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
