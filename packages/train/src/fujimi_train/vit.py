"""Vision transformer.

Shapes: B pictures, C channels, H height, W width, T tokens (patches and the class token), D token width, K classes.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


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


class Attention(nn.Module):
    """Multi-head self-attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """Mix the tokens of each picture."""
        batch, tokens, width = x_BTD.shape
        qkv = self.qkv(x_BTD).view(batch, tokens, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value)
        out_BTD: torch.Tensor = self.proj(mixed.transpose(1, 2).reshape(batch, tokens, width))
        return out_BTD


class Block(nn.Module):
    """Pre-norm block: attention, then a two-layer perceptron of four times the width.

    Args:
        shape: Size of the transformer.
        drop_path: Probability of leaving out a branch of a sample in training.
    """

    def __init__(self, shape: VitShape, *, drop_path: float) -> None:
        super().__init__()
        self.drop_path = drop_path
        self.norm1 = nn.LayerNorm(shape.width, eps=1e-6)
        self.attention = Attention(shape.width, shape.heads)
        self.norm2 = nn.LayerNorm(shape.width, eps=1e-6)
        self.fc1 = nn.Linear(shape.width, 4 * shape.width)
        self.fc2 = nn.Linear(4 * shape.width, shape.width)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """Apply both branches."""
        x_BTD = x_BTD + self._dropped(self.attention(self.norm1(x_BTD)))
        return x_BTD + self._dropped(self.fc2(F.gelu(self.fc1(self.norm2(x_BTD)))))

    def _dropped(self, branch_BTD: torch.Tensor) -> torch.Tensor:
        if not self.training or self.drop_path == 0:
            return branch_BTD
        keep = 1 - self.drop_path
        return branch_BTD * (branch_BTD.new_empty(branch_BTD.shape[0], 1, 1).bernoulli_(keep) / keep)


class VisionTransformer(nn.Module):
    """Classifies pictures by attention between their patches.

    Args:
        shape: Size.
        pixels: Side of a picture, a multiple of ``patch``.
        patch: Side of a patch.
        channels: Channels of a picture.
        classes: K.
        drop_path: Of the last block; rises linearly from 0.

    Source:
        Dosovitskiy et al., ICLR 2021, equations 1 to 4; initial values as in DeiT (truncated normal, 0.02).
    """

    def __init__(
        self, shape: VitShape, *, pixels: int, patch: int, channels: int, classes: int, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        tokens = (pixels // patch) ** 2 + 1
        rates = [drop_path * i / max(shape.depth - 1, 1) for i in range(shape.depth)]
        self.patches = nn.Conv2d(channels, shape.width, patch, stride=patch)
        self.class_token = nn.Parameter(torch.zeros(1, 1, shape.width))
        self.positions = nn.Parameter(torch.zeros(1, tokens, shape.width))
        self.blocks = nn.Sequential(*(Block(shape, drop_path=rate) for rate in rates))
        self.norm = nn.LayerNorm(shape.width, eps=1e-6)
        self.head = nn.Linear(shape.width, classes)
        nn.init.trunc_normal_(self.class_token, std=0.02)
        nn.init.trunc_normal_(self.positions, std=0.02)
        self.apply(_initialise)

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Logits of shape (B, K)."""
        patches_BTD = self.patches(x_BCHW).flatten(2).transpose(1, 2)
        class_B1D = self.class_token.expand(len(x_BCHW), -1, -1)
        x_BTD = torch.cat([class_B1D, patches_BTD], dim=1) + self.positions
        logits_BK: torch.Tensor = self.head(self.norm(self.blocks(x_BTD)[:, 0]))
        return logits_BK


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
