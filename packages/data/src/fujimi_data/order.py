"""Order of samples: another permutation in each epoch, without memory."""

import math

import numpy as np
from numpy.typing import NDArray

# Rounds of the Feistel network, each of which changes both halves.
_ROUNDS = 4
_Words = NDArray[np.uint64]


def permuted(positions: NDArray[np.int64], *, samples: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Samples at some positions of an epoch.

    Over all positions this is a permutation: a Feistel network on pairs ``(left, right)`` with about ``sqrt(samples)``
    values each, whose halves take turns in being shifted by a hash of the other. Values that are no sample are sent
    through it again (cycle walking).

    Args:
        positions: From 0 to ``samples - 1``, shape (positions,).
        samples: In an epoch, at least 1.
        seed: At least 0.
        epoch: At least 0.

    Raises:
        ValueError: If a position is outside of the epoch.

    Source:
        J. Black, P. Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002, methods "cycle-walking" and
        "generalized-Feistel".
    """
    if len(positions) and not 0 <= int(positions.min()) <= int(positions.max()) < samples:
        raise ValueError(f"positions from {positions.min()} to {positions.max()} of an epoch of {samples} samples")
    lefts = math.isqrt(samples - 1) + 1
    rights = -(-samples // lefts)
    keys = np.random.SeedSequence([seed, epoch]).generate_state(2 * _ROUNDS, np.uint64).astype(np.uint64)
    values = _feistel(positions.astype(np.uint64), np.uint64(lefts), np.uint64(rights), keys)
    outside = np.flatnonzero(values >= samples)
    while len(outside):
        values[outside] = _feistel(values[outside], np.uint64(lefts), np.uint64(rights), keys)
        outside = outside[values[outside] >= samples]
    return values.astype(np.int64)


def batch_indices(
    *, samples: int, seed: int, step: int, global_batch: int, rank: int = 0, world_size: int = 1
) -> NDArray[np.int64]:
    """Samples that one rank reads in one step.

    All steps together are one endless stream, epoch after epoch, cut into global batches: step s has the positions from
    ``s * global_batch`` on, and its ranks equal parts of them. So seed and step are all the state there is, and a run
    can go on with any other number of ranks.

    >>> batch_indices(samples=10, seed=0, step=2, global_batch=4, rank=1, world_size=2)
    array([6, 8])

    Args:
        samples: In the dataset, at least 1.
        seed: Of the order.
        step: From 0.
        global_batch: Samples of all ranks together in a step; it may exceed ``samples``.
        rank: Of the reader.
        world_size: Readers that share a batch.

    Returns:
        ``global_batch / world_size`` numbers of samples.

    Raises:
        ValueError: If a number is out of range, or the batch does not divide into the ranks.
    """
    if samples < 1 or step < 0 or global_batch < 1 or seed < 0:
        raise ValueError(
            f"samples {samples}, seed {seed}, step {step}, global_batch {global_batch}: "
            "samples and global_batch are at least 1, seed and step at least 0"
        )
    if world_size < 1 or not 0 <= rank < world_size:
        raise ValueError(f"rank {rank} of {world_size}; ranks count from 0")
    if global_batch % world_size:
        raise ValueError(f"a global batch of {global_batch} does not divide into {world_size} ranks")
    batch = global_batch // world_size
    first = step * global_batch + rank * batch
    parts = []
    while batch:
        epoch, position = divmod(first, samples)
        length = min(batch, samples - position)
        positions = np.arange(position, position + length, dtype=np.int64)
        parts.append(permuted(positions, samples=samples, seed=seed, epoch=epoch))
        first += length
        batch -= length
    return np.concatenate(parts)


def _feistel(values: _Words, lefts: np.uint64, rights: np.uint64, keys: _Words) -> _Words:
    left, right = np.divmod(values, rights)
    for key_left, key_right in keys.reshape(-1, 2):
        left = (left + _hash(right ^ key_left) % lefts) % lefts
        right = (right + _hash(left ^ key_right) % rights) % rights
    return left * rights + right


def _hash(words: _Words) -> _Words:
    """Stafford's mix 13 of 64 bits, as in SplitMix64; G. L. Steele et al., OOPSLA 2014."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))
