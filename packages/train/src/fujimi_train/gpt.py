"""Generative pre-trained transformer: predicts the next token.

Shapes: B samples, T tokens, D token width, V vocabulary.
"""

import math
from dataclasses import dataclass

import torch
from fujimi_core.job import AttentionKind
from torch import nn

from fujimi_train.blocks import Block, Linear, rising

_EPSILON = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class GptShape:
    """Size of a GPT.

    Args:
        width: Width of a token.
        depth: Number of blocks.
        heads: Attention heads; they divide the width.
        std: Standard deviation of initial weights.
    """

    width: int
    depth: int
    heads: int
    std: float = 0.02


#: Source: Radford et al., "Language Models are Unsupervised Multitask Learners", 2019, table 2, heads of 64 as in
#: OpenAI's ``hparams.json`` (gpt2); Brown et al., NeurIPS 2020, table 2.1, here with dense attention in all blocks
#: (gpt3); Fugaku-LLM/DeepSpeedFugaku, ``scripts/13b/13b_pp8_tp6_dp288_inner.sh`` (13b, which is Fugaku-LLM: sequences
#: of 2,048; tokenizer ``code10K_en20K_ja30K.ver2.2`` of llm-jp-tokenizer, whose README counts 48,588 words).
SHAPES = {
    "gpt2_small": GptShape(width=768, depth=12, heads=12),
    "gpt2_medium": GptShape(width=1024, depth=24, heads=16),
    "gpt2_large": GptShape(width=1280, depth=36, heads=20),
    "gpt2_xl": GptShape(width=1600, depth=48, heads=25),
    "gpt3_6.7b": GptShape(width=4096, depth=32, heads=32),
    "gpt_13b": GptShape(width=5184, depth=40, heads=36, std=0.008),
}


class Words(nn.Embedding):
    """A row of weights for each token of the vocabulary; they begin as a normal distribution.

    Args:
        vocabulary: V.
        width: D.
        std: Of the initial weights.
    """

    def __init__(self, vocabulary: int, width: int, *, std: float) -> None:
        self.std = std  # torch's own constructor draws
        super().__init__(vocabulary, width)

    def reset_parameters(self) -> None:
        """Draw initial values."""
        nn.init.normal_(self.weight, std=self.std)


class TokenEmbedding(nn.Module):
    """Gives tokens their words and positions.

    Args:
        width: D.
        vocabulary: V.
        sequence: The most tokens of a sample.
        std: Of the initial weights.
    """

    def __init__(self, width: int, *, vocabulary: int, sequence: int, std: float) -> None:
        super().__init__()
        self.std = std
        self.tokens = Words(vocabulary, width, std=std)
        self.positions = nn.Parameter(torch.empty(1, sequence, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the positions."""
        nn.init.normal_(self.positions, std=self.std)

    def forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        """Embedded tokens of shape (B, T, D)."""
        x_BTD: torch.Tensor = self.tokens(tokens_BT) + self.positions[:, : tokens_BT.shape[1]]
        return x_BTD


class TokenHead(nn.Module):
    """Makes logits of the token that follows each.

    Args:
        width: D.
        vocabulary: V.
        std: Of the initial weights.
    """

    def __init__(self, width: int, vocabulary: int, *, std: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=_EPSILON)
        self.linear = Linear(width, vocabulary, std=std, bias=False)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """Logits of shape (B, T, V); of fewer words on ranks that share the vocabulary."""
        logits_BTV: torch.Tensor = self.linear(self.norm(x_BTD))
        return logits_BTV


class Gpt(nn.Module):
    """Predicts the next token by attention to those before.

    The head has weights of its own (GPT-2 uses those of the embedding), so that first and last pipeline stage need
    not keep a shared weight the same. That makes ``vocabulary * width`` parameters more.

    Args:
        shape: Size.
        sequence: The most tokens of a sample.
        vocabulary: V.
        drop_path: Of the last block; rises linearly from 0.
        dropout: Of branches, and of scores if attention is unfused.
        attention: How it is computed.

    Source:
        Radford et al., 2019, section 2.3; initial weights as in Shoeybi et al., "Megatron-LM", 2019, section 4.1
        (normal, before a residual divided by ``sqrt(2 depth)``).
    """

    def __init__(
        self,
        shape: GptShape,
        *,
        sequence: int,
        vocabulary: int,
        drop_path: float = 0.0,
        dropout: float = 0.0,
        attention: AttentionKind = AttentionKind.FUSED,
    ) -> None:
        super().__init__()
        self.embed = TokenEmbedding(shape.width, vocabulary=vocabulary, sequence=sequence, std=shape.std)
        self.blocks = nn.Sequential(
            *(_block(shape, rate, dropout, attention) for rate in rising(drop_path, shape.depth))
        )
        self.head = TokenHead(shape.width, vocabulary, std=shape.std)

    def forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        """Logits of shape (B, T, V)."""
        logits_BTV: torch.Tensor = self.head(self.blocks(self.embed(tokens_BT)))
        return logits_BTV


def _block(shape: GptShape, drop_path: float, dropout: float, attention: AttentionKind) -> Block:
    return Block(
        shape.width,
        shape.heads,
        causal=True,
        drop_path=drop_path,
        gelu="tanh",
        epsilon=_EPSILON,
        std=shape.std,
        residual_std=shape.std / math.sqrt(2 * shape.depth),
        attention=attention,
        dropout=dropout,
    )
