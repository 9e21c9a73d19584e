"""Computes attention and gradients on groups of ranks and alone; each rank writes down how far they are apart."""

import json
import os
import sys
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
import torch.nn.functional as F
from fujimi_core.launch import launch_of
from fujimi_parallel.ring_attention import ring, ring_attention
from fujimi_parallel.sequence_split import SequenceSplit
from fujimi_parallel.sequence_tokens import gather_tokens, split_tokens
from torch import nn
from torch.utils.checkpoint import checkpoint

LAUNCH = launch_of(os.environ)
RANK, WORLD = LAUNCH.rank, LAUNCH.world_size
WIDTH = 12
#: Ranks of the world that make up a group.
GROUPS = ([2], [1, 3], [0, 1, 3], [0, 1, 2, 3])


def attention_apart(group, *, tokens, dealt, causal, dtype, value_width=8):
    """Largest differences of output and gradients between the ring, a second ring and torch's own attention in fp64."""
    split = SequenceSplit(tokens=tokens, ranks=group.size(), causal=dealt)
    torch.manual_seed(tokens)
    qkv = torch.randn(2, tokens, 3, 3, 8).to(dtype)
    grad = torch.randn(2, 3, tokens, value_width).to(dtype)
    mine = list(split.positions(group.rank()))

    def attend(attention, chosen, kind):
        leaf = qkv[:, chosen].to(kind).requires_grad_()
        query, key, value = leaf.permute(2, 0, 3, 1, 4)
        out = attention(query, key, value[..., :value_width])
        out.backward(grad[:, :, chosen].to(kind))
        return out.detach(), leaf.grad

    def around(query, key, value):
        return ring_attention(query, key, value, group=group, split=split, causal=causal)

    def whole(query, key, value):
        return F.scaled_dot_product_attention(query, key, value, is_causal=causal)

    (out, gradient), again = attend(around, mine, dtype), attend(around, mine, dtype)
    right_out, right_gradient = attend(whole, list(range(tokens)), torch.float64)
    assert (out.dtype, gradient.dtype) == (dtype, dtype)
    assert torch.equal(out, again[0])
    assert torch.equal(gradient, again[1])
    return [
        (out - right_out[:, :, mine]).abs().max().item(),
        (gradient - right_gradient[:, mine]).abs().max().item(),
    ]


def attention(group, dtype, **others):
    """The worst of full and causal attention, of tokens dealt equally and not."""
    ranks, cases = group.size(), [(False, False), (True, True), (True, False)]
    found = [
        attention_apart(group, tokens=tokens, dealt=dealt, causal=causal, dtype=dtype, **others)
        for dealt, causal in cases
        for tokens in (2 * ranks + 1, 4 * ranks, 7 * ranks - 1)
    ]
    return [max(out for out, _ in found), max(gradient for _, gradient in found)]


class Causal(nn.Module):
    """Two blocks between an embedding and a head, in which attention is causal."""

    def __init__(self, tokens):
        super().__init__()
        self.positions = nn.Parameter(torch.randn(1, tokens, WIDTH))
        self.embed = nn.Linear(5, WIDTH)
        self.blocks = nn.ModuleList(
            nn.ModuleDict({"qkv": nn.Linear(WIDTH, 36), "mlp": nn.Linear(WIDTH, WIDTH)}) for _ in "ab"
        )
        self.head = nn.Linear(WIDTH, 3)

    def block(self, block, x):
        query, key, value = block["qkv"](x).unflatten(2, (3, 3, 4)).permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return x + block["mlp"](F.gelu(mixed.transpose(1, 2).flatten(2)))

    def forward(self, x, split=lambda x: x, gather=lambda x: x, recompute=None):
        x = split(self.embed(x) + self.positions)
        for block in self.blocks:
            if recompute is None:
                x = self.block(block, x)
            else:
                x = checkpoint(self.block, block, x, use_reentrant=recompute == "reentrant")
        return self.head(gather(x))


class Full(nn.Module):
    """Blocks of torch itself between an embedding and a head."""

    def __init__(self, tokens):
        super().__init__()
        self.positions = nn.Parameter(torch.randn(1, tokens, WIDTH))
        self.embed = nn.Linear(5, WIDTH)
        self.blocks = nn.Sequential(
            *(nn.TransformerEncoderLayer(WIDTH, 3, 16, dropout=0.0, batch_first=True) for _ in "ab")
        )
        self.head = nn.Linear(WIDTH, 3)

    def forward(self, x, split=lambda x: x, gather=lambda x: x):
        return self.head(gather(self.blocks(split(self.embed(x) + self.positions))))


def gradients_of(model, loss, *, group=None):
    """Gradients of all parameters, the mean of a group's ranks if there is one."""
    model.zero_grad()
    loss(model).backward()
    gradients = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    if group:
        dist.all_reduce(gradients, group=group)
        gradients /= group.size()
    return gradients


def training_apart(group, model_kind, *, causal, gathered, **how):
    """Largest relative difference of the gradients on all ranks from those of one rank."""
    torch.manual_seed(1)
    split = SequenceSplit(tokens=6 * group.size() - 1, ranks=group.size(), causal=causal)
    model = model_kind(split.tokens).double()
    x, labels = torch.randn(2, split.tokens, 5).double(), torch.randint(3, (2, split.tokens))
    right = gradients_of(model, lambda model: F.cross_entropy(model(x).mT, labels))

    def shared_loss(model):
        out = model(
            x, lambda x: split_tokens(x, group, split=split), lambda x: gather_tokens(x, group, split=split), **how
        )
        return F.cross_entropy(out.mT, labels)

    def own_loss(model):
        out = model(x, lambda x: split_tokens(x, group, split=split), **how)
        own_labels = split_tokens(labels, group, split=split)
        return F.cross_entropy(out.mT, own_labels) * split.weight(group.rank())

    with ring(group, split=split):
        found = gradients_of(model, shared_loss if gathered else own_loss, group=group)
    return ((found - right).abs().max() / right.abs().max()).item()


def gather_apart(group):
    """Difference between tokens that were dealt and gathered and the same tokens, of several types and shapes."""
    split = SequenceSplit(tokens=3 * group.size() - 1, ranks=group.size(), causal=True)
    x = torch.arange(2 * split.tokens * 2).view(2, split.tokens, 2)
    around = [
        (gather_tokens(split_tokens(x.to(dtype), group, split=split), group, split=split), x.to(dtype))
        for x, dtype in ((x, torch.int64), (x[..., 0], torch.int64), (x, torch.bfloat16), (x, torch.float32))
    ]
    return max((found - right).abs().max().item() for found, right in around)


def autocast_types(group):
    """Types of outputs and of a gradient where autocast is on, of single and double precision."""
    split = SequenceSplit(tokens=2 * group.size(), ranks=group.size())
    query = torch.ones(1, 1, 2, 4, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        out = ring_attention(query, query.bfloat16(), query[..., :3], group=group, split=split, causal=False)
        double = ring_attention(*[query.detach().double()] * 3, group=group, split=split, causal=False)
    out.float().sum().backward()
    return [str(found.dtype) for found in (out, query.grad, double)]


def findings(group):
    found = {
        "double": attention(group, torch.float64),
        "single": attention(group, torch.float32),
        "bfloat16": attention(group, torch.bfloat16),
        "narrow values": attention(group, torch.float64, value_width=4),
        "full, gathered": training_apart(group, Full, causal=False, gathered=True),
        "full in the order for causal, gathered": training_apart(group, Full, causal=True, gathered=True),
        "causal, gathered": training_apart(group, Causal, causal=True, gathered=True),
        "causal, own loss": training_apart(group, Causal, causal=True, gathered=False),
        "gather": gather_apart(group),
        "autocast": autocast_types(group),
    }
    if group.size() == 2:  # checkpointing imports torch's compiler, which takes longer than all else here
        found |= {
            how: training_apart(group, Causal, causal=True, gathered=False, recompute=how)
            for how in ("not reentrant", "reentrant")
        }
    return found


def main():
    torch.set_num_threads(1)
    store = dist.FileStore(str(Path(sys.argv[1]) / "store"), WORLD)
    dist.init_process_group("gloo", store=store, rank=RANK, world_size=WORLD, timeout=timedelta(seconds=60))
    groups = [dist.new_group(ranks) for ranks in GROUPS]
    mine = [group for group, ranks in zip(groups, GROUPS, strict=True) if RANK in ranks]
    found = {group.size(): findings(group) for group in mine}
    (Path(sys.argv[1]) / str(RANK)).write_text(json.dumps(found))
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
