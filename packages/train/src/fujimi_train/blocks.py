"""Transformer blocks, common to all networks of this package.

Shapes: B samples, T tokens, D token width, H heads, W width of a head, N heads of all samples.

Whoever owns parameters draws their initial values in ``reset_parameters``, and no others: so a network can be built
without memory and be filled module by module, with a seed for each, wherever the modules are.
"""

import torch
import torch.nn.functional as F
from fujimi_core.job import AttentionKind
from torch import nn


class Linear(nn.Linear):
    """Linear layer whose weights begin as a normal distribution, and its bias at 0.

    Args:
        inputs: Width of what it takes.
        outputs: Width of what it gives.
        std: Standard deviation of the initial weights.
        bias: Whether it adds one.
    """

    def __init__(self, inputs: int, outputs: int, *, std: float = 0.02, bias: bool = True) -> None:
        self.std = std  # torch's own constructor draws
        super().__init__(inputs, outputs, bias=bias)

    def reset_parameters(self) -> None:
        """Draw initial values."""
        nn.init.normal_(self.weight, std=self.std)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class Attention(nn.Module):
    """Multi-head self-attention.

    Of the outputs of ``qkv``, the first 3 W are query, key and value of the first head, and so on: ranks that share the
    layer each take some heads. How many there are here is seen from what ``qkv`` gives.

    Args:
        width: D.
        heads: H of all ranks together; they divide the width.
        causal: Whether a token sees itself and earlier tokens only.
        std: Of the initial weights of ``qkv``.
        residual_std: Of those of ``proj``, whose output is added to the tokens.
        kind: Whether it is one operator.
        dropout: Probability of setting a score to 0, of attention that is not; ranks with other heads draw the same.

    Raises:
        ValueError: If the heads do not divide the width.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        causal: bool,
        std: float,
        residual_std: float,
        kind: AttentionKind = AttentionKind.FUSED,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"{heads} heads do not divide the width {width}")
        self.heads = heads
        self.head_width = width // heads
        self.causal = causal
        self.kind = kind
        self.dropout = dropout
        self.qkv = Linear(width, 3 * width, std=std)
        self.proj = Linear(width, width, std=residual_std)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """Mix the tokens of each sample."""
        qkv_BTH3W = self.qkv(x_BTD).unflatten(2, (-1, 3, self.head_width))
        query_BHTW, key_BHTW, value_BHTW = qkv_BTH3W.permute(3, 0, 2, 1, 4)
        if self.kind is AttentionKind.UNFUSED:
            mixed_BHTW = self._unfused(query_BHTW, key_BHTW, value_BHTW)
        else:
            mixed_BHTW = F.scaled_dot_product_attention(query_BHTW, key_BHTW, value_BHTW, is_causal=self.causal)
        out_BTD: torch.Tensor = self.proj(mixed_BHTW.transpose(1, 2).flatten(2))
        return out_BTD

    def _unfused(self, query_BHTW: torch.Tensor, key_BHTW: torch.Tensor, value_BHTW: torch.Tensor) -> torch.Tensor:
        """Scores, their softmax, and means of the values; scores are in memory in between."""
        batch, _, tokens, _ = query_BHTW.shape
        query_NTW, key_NTW, value_NTW = (each.flatten(0, 1) for each in (query_BHTW, key_BHTW, value_BHTW))
        mask_TT = query_NTW.new_zeros(tokens, tokens)
        if self.causal:
            mask_TT.fill_(-torch.inf).triu_(1)
        scale = self.head_width**-0.5
        scores_NTT = torch.baddbmm(mask_TT, query_NTW, key_NTW.transpose(1, 2), alpha=scale)
        shares_NTT = dropped(scores_NTT.softmax(-1), self.dropout if self.training else 0.0)
        mixed_NTW = torch.bmm(shares_NTT, value_NTW)
        return mixed_NTW.view(batch, -1, *mixed_NTW.shape[1:])


class Block(nn.Module):
    """Pre-norm block: attention, then a two-layer perceptron of four times the width.

    Args:
        width: D.
        heads: H.
        causal: Whether a token sees itself and earlier tokens only.
        drop_path: Probability of leaving out a branch of a sample in training.
        gelu: ``none`` for the exact function, ``tanh`` for its approximation.
        epsilon: Of the norms.
        std: Of initial weights.
        residual_std: Of those of layers whose output is added to the tokens.
        attention: Whether attention is one operator.
        dropout: Probability of setting an element of a branch to 0 in training, and a score of unfused attention.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        causal: bool,
        drop_path: float,
        gelu: str,
        epsilon: float,
        std: float,
        residual_std: float,
        attention: AttentionKind = AttentionKind.FUSED,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.dropout = dropout
        self.gelu = gelu
        self.norm1 = nn.LayerNorm(width, eps=epsilon)
        self.attention = Attention(
            width, heads, causal=causal, std=std, residual_std=residual_std, kind=attention, dropout=dropout
        )
        self.norm2 = nn.LayerNorm(width, eps=epsilon)
        self.fc1 = Linear(width, 4 * width, std=std)
        self.fc2 = Linear(4 * width, width, std=residual_std)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """Apply both branches."""
        x_BTD = x_BTD + self._dropped(self.attention(self.norm1(x_BTD)))
        hidden = F.gelu(self.fc1(self.norm2(x_BTD)), approximate=self.gelu)
        return x_BTD + self._dropped(self.fc2(hidden))

    def _dropped(self, branch_BTD: torch.Tensor) -> torch.Tensor:
        branch_BTD = dropped(branch_BTD, self.dropout if self.training else 0.0)
        if not self.training or self.drop_path == 0:
            return branch_BTD
        keep = 1 - self.drop_path
        return branch_BTD * (branch_BTD.new_empty(branch_BTD.shape[0], 1, 1).bernoulli_(keep) / keep)


def dropped(x: torch.Tensor, rate: float) -> torch.Tensor:
    """Set elements to 0 at a rate, and scale the others up; in one operator, also on processors.

    ``torch.nn.functional.dropout`` takes three there, and keeps the mask in the type of ``x``.
    """
    if rate == 0:
        return x
    y: torch.Tensor = torch.native_dropout(x, rate, True)[0]
    return y


def rising(highest: float, depth: int) -> list[float]:
    """Probability of leaving out a branch in each of so many blocks, linear from 0 to the highest.

    >>> rising(0.5, 3)
    [0.0, 0.25, 0.5]

    Source:
        Huang et al., "Deep Networks with Stochastic Depth", ECCV 2016, equation 4, the first block at 0 as in DeiT.
    """
    return [highest * block / max(depth - 1, 1) for block in range(depth)]
