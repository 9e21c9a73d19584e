"""Order of samples: another permutation in each epoch, without memory."""

import operator
from functools import lru_cache

import numpy as np
from fujimi_core.data_spec import SampleOrder
from fujimi_core.errors import unknown
from numpy.typing import NDArray

# Samples that lie together and are read one after the other in lane order: about a megabyte of pictures, which is
# what parallel file systems move at a time.
_BLOCK = 64
_MOST = 2**52
_Words = NDArray[np.uint64]


def permuted(positions: NDArray[np.int64], *, samples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Samples at some positions of an epoch.

    Over all positions this is a permutation: a Feistel network on pairs ``(left, right)`` with about ``sqrt(samples)``
    values each, whose halves take turns in being shifted by a hash of the other. Values that are no sample are sent
    through it again (cycle walking).

    Args:
        positions: From 0 to ``samples - 1``, shape (positions,).
        samples: In an epoch, 1 to ``2**52``.
        seed: At least 0.
        epoch: At least 0.

    Raises:
        ValueError: If a position is outside of the epoch.

    Source:
        J. Black, P. Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002, methods "cycle-walking" and
        "generalized-Feistel".
    """
    # numba takes longer to import than most commands take to run
    from fujimi_data.permutation import permute

    values = _checked(positions, samples)
    permute(values, np.uint64(samples), _keys(seed, epoch))
    return values.view(np.int64)


def laned(positions: NDArray[np.int64], *, samples: int, seed: int, epoch: int, lanes: int) -> NDArray[np.int64]:
    """Samples at some positions of an epoch in lane order.

    Position p is sample ``p // lanes`` of lane ``p % lanes``. A lane reads blocks of 64 neighbours (fewer where there
    are not as many samples), in an order of blocks and within each that is random. Over all positions this is a
    permutation, too.

    Args:
        positions: From 0 to ``samples - 1``, shape (positions,).
        samples: In an epoch, 1 to ``2**52``.
        seed: At least 0.
        epoch: At least 0.
        lanes: At least 1: the places in a global batch.

    Raises:
        ValueError: If a position is outside of the epoch.
    """
    from fujimi_data.permutation import permute_lanes

    values = _checked(positions, samples)
    block = max(1, min(_BLOCK, samples // lanes))
    keys_of_blocks, keys_within = _keys(seed, epoch, 1), _keys(seed, epoch, 2)
    permute_lanes(values, np.uint64(samples), np.uint64(lanes), np.uint64(block), keys_of_blocks, keys_within)
    return values.view(np.int64)


def batch_indices(
    *,
    samples: int,
    seed: int,
    step: int,
    global_batch: int,
    rank: int = 0,
    world_size: int = 1,
    order: SampleOrder = SampleOrder.SHUFFLE,
    repeats: int = 1,
) -> NDArray[np.int64]:
    """Samples that one rank reads in one step.

    All steps together are one endless stream, epoch after epoch, cut into global batches: step s has the positions from
    ``s * global_batch / repeats`` on, and its ranks parts of them that differ by one sample at most. So seed and step
    are all the state there is, and a run can go on with any other number of ranks.

    >>> batch_indices(samples=10, seed=0, step=2, global_batch=4, rank=1, world_size=2)
    array([6, 8])

    Args:
        samples: In the dataset, at least 1.
        seed: Of the order.
        step: From 0.
        global_batch: Samples of all ranks together in a step; it may exceed ``samples``.
        rank: Of the reader.
        world_size: Readers that share a batch.
        order: Of an epoch.
        repeats: How often each sample is in its batch, as far apart as can be; the number divides ``global_batch``.

    Returns:
        Numbers of samples: ``global_batch / world_size``, where that is whole.

    Raises:
        ValueError: If a number is out of range, or there are more ranks than samples in a batch.

    Source:
        E. Hoffer et al., "Augment your batch: improving generalization through instance repetition", CVPR 2020, for
        repeats.
    """
    # numpy's integers would overflow
    samples, step, global_batch, rank, world_size = map(operator.index, (samples, step, global_batch, rank, world_size))
    if not 1 <= samples <= _MOST or step < 0 or global_batch < 1 or seed < 0:
        raise ValueError(
            f"samples {samples}, seed {seed}, step {step}, global_batch {global_batch}: "
            f"samples and global_batch are at least 1, samples at most {_MOST}, seed and step at least 0"
        )
    if world_size < 1 or not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} of {world_size}; ranks count from 0")
    if global_batch < world_size:
        raise ValueError(f"a global batch of {global_batch} leaves nothing to some of {world_size} ranks")
    if repeats < 1 or global_batch % repeats:
        raise ValueError(f"repeats is {repeats}; it must be at least 1 and divide the global batch of {global_batch}")
    distinct = global_batch // repeats
    first, end = (share * global_batch // world_size for share in (rank, rank + 1))
    parts = []
    while first < end:
        place = first % distinct
        epoch, position = divmod(step * distinct + place, samples)
        length = min(end - first, distinct - place, samples - position)
        positions = np.arange(position, position + length, dtype=np.int64)
        parts.append(_ordered(order, positions, samples=samples, seed=seed, epoch=epoch, lanes=distinct))
        first += length
    return np.concatenate(parts)


def _ordered(
    order: SampleOrder, positions: NDArray[np.int64], *, samples: int, seed: int, epoch: int, lanes: int
) -> NDArray[np.int64]:
    if order == SampleOrder.SHUFFLE:
        return permuted(positions, samples=samples, seed=seed, epoch=epoch)
    if order == SampleOrder.LANES:
        return laned(positions, samples=samples, seed=seed, epoch=epoch, lanes=lanes)
    if order == SampleOrder.SEQUENTIAL:
        return positions
    raise ValueError(unknown("order", order, list(SampleOrder)))


@lru_cache(maxsize=16)
def _keys(seed: int, epoch: int, *stream: int) -> _Words:
    keys = np.random.SeedSequence([seed, epoch, *stream]).generate_state(8, np.uint64).astype(np.uint64)
    keys.setflags(write=False)
    return keys


def _checked(positions: NDArray[np.int64], samples: int) -> _Words:
    """A copy of positions that lie in an epoch."""
    if len(positions) and not 0 <= int(positions.min()) <= int(positions.max()) < samples:
        raise ValueError(f"positions from {positions.min()} to {positions.max()} of an epoch of {samples} samples")
    return positions.astype(np.uint64)
