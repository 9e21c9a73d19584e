"""CosmoFlow: a network of three-dimensional convolutions.

Shapes: B samples, C channels, D depth, H height, W width, K classes.
"""

import itertools

import torch
from torch import nn

#: Filters of the first layer, which double from layer to layer, and widths of the layers at the end.
_FILTERS, _LAYERS, _WIDTHS = 32, 5, (128, 64)
_SLOPE = 0.3
#: Side of a convolution's kernel.
KERNELS = {"cosmoflow": 3, "cosmoflow_open": 2}


class CosmoFlow(nn.Module):
    """Tells classes of volumes: five times a convolution and the largest of each eight voxels, then linear layers.

    Volumes are as deep as they are wide. Data here are pictures, so that all slices of a volume are the same; and in
    place of the four numbers that the benchmark predicts there are logits, which cost the same.

    Args:
        pixels: Side of a volume, a multiple of 32.
        channels: C of a voxel.
        classes: K.
        kernel: Side of a convolution's kernel.

    Raises:
        ValueError: If the volume cannot be halved five times.

    Source:
        Mathuriya et al., "CosmoFlow", SC 2018; 32 to 512 filters, LeakyReLU of 0.3, kernels of 3 or 2: MLPerf HPC v1.0
        (mlcommons/hpc_results_v1.0, Fujitsu+RIKEN, mesh_cosmoflow.py, cosmo_closed_512.yaml, cosmo_open_512.yaml).
    """

    def __init__(self, *, pixels: int, channels: int, classes: int, kernel: int) -> None:
        super().__init__()
        if pixels % 2**_LAYERS:
            raise ValueError(
                f"volumes of {pixels} voxels cannot be halved {_LAYERS} times; use a multiple of {2**_LAYERS}"
            )
        filters = [channels, *(_FILTERS * 2**layer for layer in range(_LAYERS))]
        self.layers = nn.Sequential(*(_layer(before, after, kernel) for before, after in itertools.pairwise(filters)))
        widths = [filters[-1] * (pixels // 2**_LAYERS) ** 3, *_WIDTHS]
        linear = [
            nn.Sequential(nn.Linear(before, after), nn.LeakyReLU(_SLOPE))
            for before, after in itertools.pairwise(widths)
        ]
        self.head = nn.Sequential(nn.Flatten(), *linear, nn.Linear(widths[-1], classes))

    def forward(self, x_BCHW: torch.Tensor) -> torch.Tensor:
        """Logits of shape (B, K)."""
        x_BCDHW = x_BCHW[:, :, None].expand(-1, -1, x_BCHW.shape[-1], -1, -1)
        logits_BK: torch.Tensor = self.head(self.layers(x_BCDHW))
        return logits_BK


def _layer(before: int, after: int, kernel: int) -> nn.Sequential:
    """Halves the volume; an even kernel wants one voxel more at the end than at the beginning."""
    fill = [] if kernel % 2 else [nn.ZeroPad3d((kernel // 2 - 1, kernel // 2) * 3)]
    convolution = nn.Conv3d(before, after, kernel, padding=kernel // 2 if kernel % 2 else 0)
    return nn.Sequential(*fill, convolution, nn.LeakyReLU(_SLOPE), nn.MaxPool3d(2))
