"""Batches as torch's `DataLoader` knows them: an iterable dataset of tensors."""

from collections.abc import Iterator

import torch
from torch.utils.data import IterableDataset

from fujimi_data.loader import BatchLoader

Tensors = tuple[torch.Tensor, torch.Tensor]


class TensorBatches(IterableDataset[Tensors]):
    """The batches of a loader as tensors: pictures (uint8) and labels (int64; float32 shares of mixed pictures).

    They are whole batches, read by threads: give it to ``DataLoader(…, batch_size=None)`` with no workers, or iterate
    over it. A `ShardDataset` itself is a dataset of samples that torch's loaders take, too.

    Args:
        loader: Gives the batches; iterating again goes on where the last iteration stopped.
    """

    def __init__(self, loader: BatchLoader) -> None:
        self._loader = loader

    def __iter__(self) -> Iterator[Tensors]:
        for pictures, labels in self._loader:
            yield torch.from_numpy(pictures), torch.from_numpy(labels)

    def state_dict(self) -> dict[str, int]:
        """The step to go on with; with the loader's arguments this is all the state there is."""
        return {"step": self._loader.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where another left off, on any number of ranks."""
        self._loader.seek(state["step"])
