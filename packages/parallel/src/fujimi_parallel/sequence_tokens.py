"""Tokens of a sample, on one rank or spread over those of a group, with the gradients that belong to it.

Every rank calls ``backward`` on its own loss, and gradients of parameters are averaged over the ranks afterwards. What
comes out is the gradient of the mean of all losses, because each function is followed backward exactly: tokens that a
rank does not take get zeros from it, and tokens that all ranks gather get the sum of what all made of them. So two
kinds of loss are right. Either every rank gathers the tokens and computes the same loss; or each takes the mean over
its own tokens, times `SequenceSplit.weight`.

Shapes: B samples, T tokens of all ranks, t tokens of this one, D token width; dims after T may be any or none.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch.autograd.function import once_differentiable

from fujimi_parallel.sequence_split import SequenceSplit


def rank_in(group: dist.ProcessGroup, split: SequenceSplit) -> int:
    """Rank of this process in a group.

    Raises:
        ValueError: If tokens were dealt for another number of ranks.
    """
    if group.size() != split.ranks:
        raise ValueError(
            f"tokens are dealt to {split.ranks} ranks, but the group has {group.size()}; they must be equally many"
        )
    return group.rank()


def split_tokens(x_BTD: torch.Tensor, group: dist.ProcessGroup, *, split: SequenceSplit) -> torch.Tensor:
    """Take this rank's tokens; nothing is sent.

    Args:
        x_BTD: All tokens, the same on every rank.
        group: Ranks to which tokens are dealt.
        split: How.

    Returns:
        Tokens of this rank, of shape (B, t, D), in the order of ``split.positions``.

    Raises:
        ValueError: If there are more or fewer tokens than ``split`` says, or ranks than it deals to.
    """
    rank = rank_in(group, split)
    _require_tokens(x_BTD, split.tokens, "a sample has")
    chunks = x_BTD.split([len(split.chunk(chunk)) for chunk in range(split.chunks)], dim=1)
    return torch.cat([chunks[chunk] for chunk in split.held(rank)], dim=1)


def gather_tokens(x_BtD: torch.Tensor, group: dist.ProcessGroup, *, split: SequenceSplit) -> torch.Tensor:
    """Give every rank the tokens of all.

    Args:
        x_BtD: Tokens of this rank, as `split_tokens` gave them.
        group: Ranks to which tokens were dealt.
        split: How.

    Returns:
        All tokens in the order of the sample, of shape (B, T, D).

    Raises:
        ValueError: If this rank holds more or fewer tokens than ``split`` says, or there are more or fewer ranks.
    """
    rank = rank_in(group, split)
    _require_tokens(x_BtD, split.count(rank), f"rank {rank} of the group holds")
    most = max(split.count(other) for other in range(split.ranks))
    padding = x_BtD.new_zeros(len(x_BtD), most - x_BtD.shape[1], *x_BtD.shape[2:])
    padded_BtD = torch.cat([x_BtD, padding], dim=1)
    gathered: torch.Tensor = _AllGather.apply(padded_BtD, group)  # type: ignore[no-untyped-call] # torch leaves it untyped
    chunks: dict[int, torch.Tensor] = {}
    for other, padded in enumerate(gathered.unbind()):
        held = split.held(other)
        pieces = padded.split([*(len(split.chunk(chunk)) for chunk in held), most - split.count(other)], dim=1)
        chunks.update(zip(held, pieces, strict=False))  # the last piece is padding
    return torch.cat([chunks[chunk] for chunk in range(split.chunks)], dim=1)


def _require_tokens(x_BTD: torch.Tensor, tokens: int, whose: str) -> None:
    if x_BTD.shape[1] != tokens:
        raise ValueError(f"{whose} {tokens} tokens, but dim 1 of shape {tuple(x_BTD.shape)} has {x_BTD.shape[1]}")


class _AllGather(torch.autograd.Function):
    """Stacks the tensors of all ranks; gradients are summed over the ranks."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, group: dist.ProcessGroup) -> torch.Tensor:
        ctx.group = group
        gathered = x.new_empty(group.size() * len(x), *x.shape[1:])
        dist.all_gather_single(gathered, x.contiguous(), group=group)
        return gathered.view(group.size(), *x.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor, None]:
        summed = grad.new_empty(grad.shape[1:])
        dist.reduce_scatter_single(summed, grad.contiguous().flatten(0, 1), group=ctx.group)
        return summed, None
