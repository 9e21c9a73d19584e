"""Reads batches ahead of the training loop, in threads."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fujimi_data.dataset import ShardDataset
from fujimi_data.order import batch_indices


class Batch(NamedTuple):
    """Samples of one rank in one step.

    Args:
        pictures: Grey, shape (batch, rows, columns).
        labels: Classes, shape (batch,).
    """

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]


class BatchLoader:
    """Endless batches of one rank, beginning at any step.

    Threads decode straight into the arrays of a batch. An error in one of them is raised where the batch is asked for.

    Args:
        dataset: Where samples are read.
        seed: Of the order.
        global_batch: Samples of all ranks together in a step.
        rank: Of this reader.
        world_size: Readers that share a batch.
        step: First step to give.
        ahead: Batches that are read before they are asked for.
        threads: That read; by default one for each core this process may use, at most 8.

    Raises:
        ValueError: If a number is out of range, or the batch does not divide into the ranks.
    """

    def __init__(
        self,
        dataset: ShardDataset,
        *,
        seed: int,
        global_batch: int,
        rank: int = 0,
        world_size: int = 1,
        step: int = 0,
        ahead: int = 2,
        threads: int | None = None,
    ) -> None:
        threads = min(8, len(os.sched_getaffinity(0))) if threads is None else threads
        if threads < 1 or ahead < 0:
            raise ValueError(f"threads {threads}, ahead {ahead}: at least 1 and 0 are needed")
        self.step = step
        self._dataset = dataset
        self._seed, self._global_batch = seed, global_batch
        self._rank, self._world_size = rank, world_size
        self._threads, self._ahead = threads, ahead
        self._pending: deque[tuple[Batch, list[Future[None]]]] = deque()
        self._indices(step)
        self._pool: ThreadPoolExecutor | None = ThreadPoolExecutor(threads, thread_name_prefix="fujimi-data")

    def __enter__(self) -> "BatchLoader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        """Batch of ``step``, which then is one more.

        Raises:
            ShardError: If a sample of it is damaged; the loader is closed then.
            StopIteration: If the loader is closed.
        """
        if self._pool is None:
            raise StopIteration
        while len(self._pending) <= self._ahead:
            self._pending.append(self._begin(self._pool, self.step + len(self._pending)))
        batch, parts = self._pending.popleft()
        try:
            for part in parts:
                part.result()
        except BaseException:
            self.close()
            raise
        self.step += 1
        return batch

    def close(self) -> None:
        """Stop the threads and forget what was read ahead."""
        pool, self._pool = self._pool, None
        self._pending.clear()
        if pool is not None:
            pool.shutdown(cancel_futures=True)

    def _indices(self, step: int) -> NDArray[np.int64]:
        return batch_indices(
            samples=len(self._dataset),
            seed=self._seed,
            step=step,
            global_batch=self._global_batch,
            rank=self._rank,
            world_size=self._world_size,
        )

    def _begin(self, pool: ThreadPoolExecutor, step: int) -> tuple[Batch, list[Future[None]]]:
        indices = self._indices(step)
        pixels = self._dataset.manifest.recipe.pixels
        batch = Batch(
            pictures=np.empty((len(indices), pixels, pixels), dtype=np.uint8),
            labels=np.empty(len(indices), dtype=np.int64),
        )
        parts = range(min(self._threads, len(indices)))
        return batch, [pool.submit(self._read, indices, batch, slice(part, None, len(parts))) for part in parts]

    def _read(self, indices: NDArray[np.int64], batch: Batch, part: slice) -> None:
        for place in range(len(indices))[part]:
            sample = self._dataset[int(indices[place])]
            batch.pictures[place] = sample.picture
            batch.labels[place] = sample.label
