"""Vision transformer.

Shapes: B pictures, C channels, H height, W width, T tokens (patches and the class token), D token width, K classes.
"""

from dataclasses import dataclass

import torch
from fujimi_core.job import AttentionKind
from torch import nn

from fujimi_train.blocks import Block, Linear, rising

_STD = 0.02
_EPSILON = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class VitShape:
    """Size of a vision transformer.

    Args:
        width: Width of a token.
        depth: Number of blocks.
        heads: Attention heads; they divide the width.
    """

    width: int
    depth: int
    heads: int


#: Source: Dosovitskiy et al., ICLR 2021, table 1 (base, large, huge);
#: Touvron et al., "DeiT", ICML 2021, table 1 (tiny, small).
SHAPES = {
    "vit_tiny": VitShape(width=192, depth=12, heads=3),
    "vit_small": VitShape(width=384, depth=12, heads=6),
    "vit_base": VitShape(width=768, depth=12, heads=12),
    "vit_large": VitShape(width=1024, depth=24, heads=16),
    "vit_huge": VitShape(width=1280, depth=32, heads=16),
}


class PatchEmbedding(nn.Module):
    """Makes tokens of pictures: one of each patch, after the class token.

    Args:
        width: D.
        pixels: Side of a picture, a multiple of ``patch``.
        patch: Side of a patch.
        channels: C.
    """

    def __init__(self, width: int, *, pixels: int, patch: int, channels: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, width, patch, stride=patch)
        self.class_token = nn.Parameter(torch.empty(1, 1, width))
        self.positions = nn.Parameter(torch.empty(1, (pixels // patch) ** 2 + 1, width))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the class token and the positions."""
        nn.init.normal_(self.class_token, std=_STD)
        nn.init.normal_(self.positions, std=_STD)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Tokens with their positions."""
        patches_BTD = self.patches(x_BCHW).flatten(2).transpose(1, 2)
        class_B1D = self.class_token.expand(len(x_BCHW), -1, -1)
        return torch.cat([class_B1D, patches_BTD], dim=1) + self.positions


class ClassHead(nn.Module):
    """Makes logits of the class token.

    Args:
        width: D.
        classes: K.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, eps=_EPSILON)
        self.linear = Linear(width, classes, std=_STD)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """Logits of shape (B, K)."""
        logits_BK: torch.Tensor = self.linear(self.norm(x_BTD[:, 0]))
        return logits_BK


class VisionTransformer(nn.Module):
    """Classifies pictures by attention between their patches.

    Args:
        shape: Size.
        pixels: Side of a picture, a multiple of ``patch``.
        patch: Side of a patch.
        channels: Channels of a picture.
        classes: K.
        drop_path: Of the last block; rises linearly from 0.
        dropout: Of branches, and of scores if attention is unfused.
        attention: How it is computed.

    Source:
        Dosovitskiy et al., ICLR 2021, equations 1 to 4; initial values as in DeiT: normal, 0.02. It truncates them at
        ±2, which is 100 standard deviations away.
    """

    def __init__(
        self,
        shape: VitShape,
        *,
        pixels: int,
        patch: int,
        channels: int,
        classes: int,
        drop_path: float = 0.0,
        dropout: float = 0.0,
        attention: AttentionKind = AttentionKind.FUSED,
    ) -> None:
        super().__init__()
        self.embed = PatchEmbedding(shape.width, pixels=pixels, patch=patch, channels=channels)
        self.blocks = nn.Sequential(
            *(_block(shape, rate, dropout, attention) for rate in rising(drop_path, shape.depth))
        )
        self.head = ClassHead(shape.width, classes)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Logits of shape (B, K)."""
        logits_BK: torch.Tensor = self.head(self.blocks(self.embed(x_BCHW)))
        return logits_BK


def _block(shape: VitShape, drop_path: float, dropout: float, attention: AttentionKind) -> Block:
    return Block(
        shape.width,
        shape.heads,
        causal=False,
        drop_path=drop_path,
        gelu="none",
        epsilon=_EPSILON,
        std=_STD,
        residual_std=_STD,
        attention=attention,
        dropout=dropout,
    )
