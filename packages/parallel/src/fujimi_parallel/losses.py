"""Cross-entropy, also of logits that the ranks of a tensor-parallel group share.

Shapes: N rows, V classes of all ranks, v classes of this rank.
"""

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F


def cross_entropy(
    logits_NV: torch.Tensor, labels_N: torch.Tensor, *, label_smoothing: float = 0.0, group: dist.ProcessGroup | None
) -> torch.Tensor:
    """Mean cross-entropy of rows.

    Args:
        logits_NV: Of any leading shape; with a group, only the classes of this rank: equal, consecutive parts.
        labels_N: Classes, of the same leading shape; or shares of each, of the shape of the logits.
        label_smoothing: Share of the target spread over all classes.
        group: Ranks that share the classes; None if this one has all.

    Returns:
        A scalar, the same on all ranks of the group.

    Raises:
        ValueError: If labels are shares, and ranks share the classes.

    Source:
        Shoeybi et al., "Megatron-LM", 2019, section 3 (the loss is fused with the shared output layer).
    """
    logits_NV = logits_NV.flatten(0, -2).float()
    if labels_N.is_floating_point():
        if group is not None:
            raise ValueError("labels that are shares of classes need all classes, which the ranks of a group share")
        return F.cross_entropy(logits_NV, labels_N.flatten(0, -2), label_smoothing=label_smoothing)
    labels_N = labels_N.flatten()
    if group is None:
        return F.cross_entropy(logits_NV, labels_N, label_smoothing=label_smoothing)
    loss: torch.Tensor = _SharedCrossEntropy.apply(logits_NV, labels_N, label_smoothing, group)  # type: ignore[no-untyped-call] # torch leaves it untyped
    return loss


class _SharedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, logits_Nv: torch.Tensor, labels_N: torch.Tensor, smoothing: float, group: dist.ProcessGroup
    ) -> torch.Tensor:
        classes, ranks = logits_Nv.shape[1], group.size()
        top_N = logits_Nv.amax(dim=1)
        dist.all_reduce(top_N, op=dist.ReduceOp.MAX, group=group)
        shifted_Nv = logits_Nv - top_N[:, None]
        mine_N, own_N = _own(labels_N, classes, group.rank())
        wanted_N = shifted_Nv.gather(1, own_N[:, None])[:, 0] * mine_N
        sums = torch.stack([wanted_N, shifted_Nv.exp().sum(dim=1), shifted_Nv.sum(dim=1)])
        dist.all_reduce(sums, group=group)
        wanted_N, total_N, all_N = sums
        log_total_N = total_N.log()
        ctx.save_for_backward(shifted_Nv.sub_(log_total_N[:, None]).exp_(), labels_N)
        ctx.smoothing, ctx.group = smoothing, group
        loss_N = log_total_N - (1 - smoothing) * wanted_N - smoothing / (classes * ranks) * all_N
        loss: torch.Tensor = loss_N.mean()
        return loss

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        probability_Nv, labels_N = ctx.saved_tensors
        rows, classes = probability_Nv.shape
        mine_N, own_N = _own(labels_N, classes, ctx.group.rank())
        d_Nv = probability_Nv - ctx.smoothing / (classes * ctx.group.size())
        d_Nv.scatter_add_(1, own_N[:, None], (mine_N * (ctx.smoothing - 1))[:, None].to(d_Nv.dtype))
        return d_Nv.mul_(gradient / rows), None, None, None


def _own(labels_N: torch.Tensor, classes: int, rank: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Which labels are of this rank's classes, and their number among those; 0 for others."""
    mine_N = (labels_N >= rank * classes) & (labels_N < (rank + 1) * classes)
    return mine_N, (labels_N - rank * classes) * mine_N
