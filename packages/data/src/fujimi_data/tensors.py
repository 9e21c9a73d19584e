"""Batches as torch's `DataLoader` knows them: an iterable dataset of tensors."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from fujimi_core.job import SampleOrder
from torch.utils.data import IterableDataset

from fujimi_data.loader import BatchLoader
from fujimi_data.source import Source

if TYPE_CHECKING:
    # numba takes longer to import than the rest together
    from fujimi_data.augment.mix import Mixing
    from fujimi_data.augment.pipeline import Augmentation

Tensors = tuple[torch.Tensor, torch.Tensor]


class TensorBatches(IterableDataset[Tensors]):
    """Endless batches of one rank, as tensors: pictures (uint8) and labels (int64; float32 shares if mixed).

    They are whole batches, read by threads: give it to ``DataLoader(…, batch_size=None)`` with no workers, or iterate
    over it. A `ShardDataset` itself is a dataset of samples that torch's loaders take, too.

    Args:
        source: Of the pictures.
        seed: Of the order.
        global_batch: Samples of all ranks together in a step.
        rank: Of this reader.
        world_size: Readers that share a batch.
        step: First step to give.
        order: Of the samples.
        augmentation: What pictures go through.
        mixing: How pairs of pictures are mixed.
        classes: How many there are; needed for mixing.
        repeats: How often each sample is in its batch.
    """

    def __init__(
        self,
        source: Source,
        *,
        seed: int,
        global_batch: int,
        rank: int = 0,
        world_size: int = 1,
        step: int = 0,
        order: SampleOrder = SampleOrder.SHUFFLE,
        augmentation: "Augmentation | None" = None,
        mixing: "Mixing | None" = None,
        classes: int | None = None,
        repeats: int = 1,
    ) -> None:
        self._source = source
        self._arguments: dict[str, Any] = {
            "seed": seed,
            "global_batch": global_batch,
            "rank": rank,
            "world_size": world_size,
            "order": order,
            "augmentation": augmentation,
            "mixing": mixing,
            "classes": classes,
            "repeats": repeats,
        }
        self._step = step

    def __iter__(self) -> Iterator[Tensors]:
        with BatchLoader(self._source, **self._arguments, step=self._step) as loader:
            for pictures, labels in loader:
                self._step = loader.step
                yield torch.from_numpy(pictures), torch.from_numpy(labels)

    def state_dict(self) -> dict[str, int]:
        """The step to go on with; with the arguments this is all the state there is."""
        return {"step": self._step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where another left off, on any number of ranks."""
        self._step = state["step"]
