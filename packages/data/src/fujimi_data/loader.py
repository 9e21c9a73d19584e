"""Reads batches ahead of the training loop, in threads."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fujimi_data.errors import Damage
from fujimi_data.order import Order, batch_indices
from fujimi_data.source import Source


class Batch(NamedTuple):
    """Samples of one rank in one step.

    Args:
        pictures: Shape (batch, rows, columns), or (batch, rows, columns, 3) in colour.
        labels: Classes, shape (batch,).
    """

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Pending:
    """A batch that threads are filling.

    Args:
        batch: With a row for each sample.
        parts: What is still to be done; each gives the rows that are damaged.
    """

    batch: Batch
    parts: list[Future[dict[int, Damage]]]


class BatchLoader:
    """Endless batches of one rank, beginning at any step.

    Threads decode straight into the arrays of a batch. An error in one of them is raised where the batch is asked for.
    Where the source skips damaged samples, batches are shorter by them, and ``skipped`` has what is wrong with each.

    Args:
        source: Of the pictures, such as a `ShardDataset`.
        seed: Of the order.
        global_batch: Samples of all ranks together in a step.
        rank: Of this reader.
        world_size: Readers that share a batch.
        step: First step to give.
        ahead: Batches that are read before they are asked for.
        threads: That read; by default one for each core this process may use, at most 8.
        order: Of the samples.

    Raises:
        ValueError: If a number is out of range, or there are more ranks than samples in a batch.
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
        ahead: int = 2,
        threads: int | None = None,
        order: Order = Order.SHUFFLE,
    ) -> None:
        threads = min(8, len(os.sched_getaffinity(0))) if threads is None else threads
        if threads < 1 or ahead < 0:
            raise ValueError(f"threads {threads}, ahead {ahead}: at least 1 and 0 are needed")
        self.step = step
        #: What is wrong with the samples that were left out.
        self.skipped: list[Damage] = []
        self._order = order
        self._source = source
        self._seed, self._global_batch = seed, global_batch
        self._rank, self._world_size = rank, world_size
        self._threads, self._ahead = threads, ahead
        self._pending: deque[_Pending] = deque()
        self._indices(step)
        self._shape: tuple[int, ...] | None = None
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
        pending = self._pending.popleft()
        try:
            damages = {row: damage for part in pending.parts for row, damage in part.result().items()}
        except BaseException:
            self.close()
            raise
        self.step += 1
        return self._without(pending.batch, damages) if damages else pending.batch

    def close(self) -> None:
        """Stop the threads and forget what was read ahead."""
        pool, self._pool = self._pool, None
        self._pending.clear()
        if pool is not None:
            pool.shutdown(cancel_futures=True)

    def _indices(self, step: int) -> NDArray[np.int64]:
        return batch_indices(
            samples=len(self._source),
            seed=self._seed,
            step=step,
            global_batch=self._global_batch,
            rank=self._rank,
            world_size=self._world_size,
            order=self._order,
        )

    def _begin(self, pool: ThreadPoolExecutor, step: int) -> _Pending:
        indices = self._indices(step)
        batch = Batch(
            pictures=np.empty((len(indices), *self._picture_shape()), dtype=np.uint8),
            labels=np.empty(len(indices), dtype=np.int64),
        )
        parts = range(min(self._threads, len(indices)))
        slices = [slice(part, None, len(parts)) for part in parts]
        return _Pending(batch=batch, parts=[pool.submit(self._read, indices, batch, part) for part in slices])

    def _read(self, indices: NDArray[np.int64], batch: Batch, part: slice) -> dict[int, Damage]:
        rows = range(len(indices))[part]
        damages = {}
        for row, (pixels, label) in zip(rows, self._source.pictures(indices[part]), strict=True):
            if isinstance(pixels, Damage):
                damages[row] = pixels
            elif pixels.shape != batch.pictures.shape[1:]:
                raise ValueError(
                    f"sample {indices[row]} has shape {pixels.shape}, others {batch.pictures.shape[1:]}: pictures of "
                    "different shapes make no batch"
                )
            else:
                batch.pictures[row] = pixels
                batch.labels[row] = label
        return damages

    def _picture_shape(self) -> tuple[int, ...]:
        """Shape of all pictures: that of the first one that is not damaged."""
        if self._shape is None:
            for number in range(len(self._source)):
                ((pixels, _),) = self._source.pictures(np.array([number]))
                if not isinstance(pixels, Damage):
                    self._shape = pixels.shape
                    break
            else:
                raise ValueError("all samples are damaged")
        return self._shape

    def _without(self, batch: Batch, damages: dict[int, Damage]) -> Batch:
        self.skipped += [damages[row] for row in sorted(damages)]
        kept = np.setdiff1d(np.arange(len(batch.labels)), list(damages))
        return Batch(pictures=batch.pictures[kept], labels=batch.labels[kept])
