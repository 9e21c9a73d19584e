"""Reads batches ahead of the training loop, in threads."""

import operator
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice, pairwise
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from fujimi_core.data_spec import SampleOrder
from numpy.typing import NDArray

from fujimi_data.errors import Damage
from fujimi_data.order import batch_indices
from fujimi_data.shards.codecs import is_pixels
from fujimi_data.source import Source

if TYPE_CHECKING:
    # numba takes longer to import than the rest together
    from fujimi_data.augment.mix import Mixing
    from fujimi_data.augment.pipeline import Augmentation


# Pictures that are looked at to see whether there are some in colour: of photographs a few in a hundred are grey.
_LOOKS = 16


class Batch(NamedTuple):
    """Samples of one rank in one step.

    Args:
        pictures: Shape (batch, rows, columns), or (batch, 3, rows, columns) in colour; grey ones among those in colour
            have three equal planes.
        labels: Classes, shape (batch,); of pictures that were mixed the share of each class, float32 of shape
            (batch, classes).
    """

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64] | NDArray[np.float32]


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
        augmentation: What pictures go through; without, they must have one shape. What it does to a sample depends on
            the seed, the sample and its place in the order, not on threads or ranks.
        mixing: How pairs of pictures, and their labels, are mixed at last; the batch of each rank must be even then.
            A picture whose partner is damaged stays as it is.
        classes: How many there are; needed for the labels of mixed pictures.
        repeats: How often each sample is in its batch, augmented anew (repeated augmentation); the number divides
            ``global_batch``.

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
        order: SampleOrder = SampleOrder.SHUFFLE,
        augmentation: "Augmentation | None" = None,
        mixing: "Mixing | None" = None,
        classes: int | None = None,
        repeats: int = 1,
    ) -> None:
        threads = min(8, len(os.sched_getaffinity(0))) if threads is None else threads
        if threads < 1 or ahead < 0:
            raise ValueError(f"threads {threads}, ahead {ahead}: at least 1 and 0 are needed")
        #: How to mix, and how many classes there are.
        self._mixing: tuple[Mixing, int] | None = None
        if mixing is not None:
            if classes is None:
                raise ValueError("mixing makes labels of shares of classes: give classes, the number of them")
            if global_batch % (2 * world_size):
                raise ValueError(
                    f"a global batch of {global_batch} on {world_size} ranks is not of pairs; mixing needs a multiple "
                    f"of {2 * world_size}"
                )
            self._mixing = mixing, classes
        self.step = operator.index(step)  # numpy's integers would overflow
        #: What is wrong with the samples that were left out.
        self.skipped: list[Damage] = []
        self._order, self._augmentation = order, augmentation
        self._repeats = repeats
        self._source = source
        self._seed, self._global_batch = seed, operator.index(global_batch)
        self._rank, self._world_size = operator.index(rank), operator.index(world_size)
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
        try:
            while len(self._pending) <= self._ahead:
                self._pending.append(self._begin(self._pool, self.step + len(self._pending)))
            pending = self._pending.popleft()
            damages = {row: damage for part in pending.parts for row, damage in part.result().items()}
        except BaseException:
            self.close()
            raise
        self.step += 1
        return self._without(pending.batch, damages) if damages else pending.batch

    def seek(self, step: int) -> None:
        """Go on with another step.

        Raises:
            ValueError: If it is below 0.
        """
        if step < 0:
            raise ValueError(f"step {step}; it must be at least 0")
        self.step = step
        self._forget()

    def close(self) -> None:
        """Stop the threads and forget what was read ahead."""
        pool, self._pool = self._pool, None
        self._forget()
        if pool is not None:
            pool.shutdown(cancel_futures=True)

    def _forget(self) -> None:
        for pending in self._pending:
            for part in pending.parts:
                part.cancel()
        self._pending.clear()

    def _indices(self, step: int) -> NDArray[np.int64]:
        return batch_indices(
            samples=len(self._source),
            seed=self._seed,
            step=step,
            global_batch=self._global_batch,
            rank=self._rank,
            world_size=self._world_size,
            order=self._order,
            repeats=self._repeats,
        )

    def _begin(self, pool: ThreadPoolExecutor, step: int) -> _Pending:
        indices = self._indices(step)
        batch = Batch(
            pictures=np.empty((len(indices), *self._picture_shape()), dtype=np.uint8),
            labels=np.empty(len(indices), dtype=np.int64)
            if self._mixing is None
            else np.empty((len(indices), self._mixing[1]), dtype=np.float32),
        )
        first = step * self._global_batch + self._rank * self._global_batch // self._world_size
        parts = [pool.submit(self._fill, indices, batch, rows, first) for rows in _parts(len(indices), self._threads)]
        return _Pending(batch=batch, parts=parts)

    def _fill(self, indices: NDArray[np.int64], batch: Batch, rows: range, first: int) -> dict[int, Damage]:
        """Fill some rows of a batch whose first sample has a place in the endless order."""
        own = slice(rows.start, rows.stop)
        classes = np.zeros(len(rows), dtype=np.int64)
        damages = {}
        for row, (pixels, label) in zip(rows, self._source.pictures(indices[own]), strict=True):
            if isinstance(pixels, Damage):
                damages[row] = pixels
            else:
                self._write(pixels, batch.pictures[row], position=first + row, number=int(indices[row]))
                classes[row - rows.start] = label
        if self._mixing is None:
            batch.labels[own] = classes
        else:
            mixing, count = self._mixing
            batch.labels[own] = mixing.apply(
                batch.pictures[own],
                classes,
                classes=count,
                seed=self._seed,
                first=first + rows.start,
                alone=[row - rows.start for row in damages],
            )
        return damages

    def _write(self, pixels: NDArray[np.uint8], row: NDArray[np.uint8], *, position: int, number: int) -> None:
        if not is_pixels(pixels):
            raise ValueError(
                f"sample {number} is {pixels.dtype} of shape {pixels.shape}: no picture, which is uint8 of shape "
                "(rows, columns) or (rows, columns, 3)"
            )
        if pixels.ndim == 3 and row.ndim == 2:
            raise ValueError(
                f"sample {number} is in colour, and none of the first {_LOOKS} is: batches are grey; pack pictures in "
                "colour first, or all in one kind"
            )
        if pixels.ndim == 2 and row.ndim == 3:
            pixels = np.stack([pixels] * 3, axis=2)
        if self._augmentation is not None:
            self._augmentation.apply(pixels, row, seed=self._seed, position=position, number=number)
            return
        planes = pixels.transpose(2, 0, 1) if pixels.ndim == 3 else pixels
        if planes.shape != row.shape:
            raise ValueError(
                f"sample {number} has shape {pixels.shape}, another rows of {row.shape}: pictures of different shapes "
                "make no batch; give an augmentation that brings them to one"
            )
        row[:] = planes

    def _picture_shape(self) -> tuple[int, ...]:
        """Shape of a row of a batch: that of the first picture, in colour if one of the first few is."""
        if self._shape is None:
            first: tuple[int, ...] = ()
            for shape in islice(self._picture_shapes(), _LOOKS):
                first = first or shape
                in_colour = len(shape) == 3
                if in_colour:
                    break
            if not first:
                raise ValueError("all samples are damaged")
            side = first[:2] if self._augmentation is None else 2 * (self._augmentation.pixels,)
            self._shape = (3, *side) if in_colour else side
        return self._shape

    def _picture_shapes(self) -> Iterator[tuple[int, ...]]:
        """Shapes of the pictures that are not damaged, from the first sample on."""
        for number in range(len(self._source)):
            ((pixels, _),) = self._source.pictures(np.array([number]))
            if not isinstance(pixels, Damage):
                yield pixels.shape

    def _without(self, batch: Batch, damages: dict[int, Damage]) -> Batch:
        self.skipped += [damages[row] for row in sorted(damages)]
        kept = np.setdiff1d(np.arange(len(batch.labels)), list(damages))
        return Batch(pictures=batch.pictures[kept], labels=batch.labels[kept])


def _parts(count: int, threads: int) -> list[range]:
    """Rows of a batch for each thread: whole pairs, but for the last row of an odd batch.

    >>> _parts(7, 3)
    [range(0, 2), range(2, 4), range(4, 7)]
    """
    bounds = [2 * (count * part // threads // 2) for part in range(threads)] + [count]
    return [range(start, end) for start, end in pairwise(bounds) if start < end]
