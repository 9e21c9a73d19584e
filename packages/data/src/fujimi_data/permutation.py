"""Random permutations that are computed and never stored, compiled."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled

#: Rounds of the Feistel network, each of which changes both halves; a permutation has two keys for each.
ROUNDS = 4
_Words = NDArray[np.uint64]


@compiled
def permute(positions: _Words, samples: np.uint64, keys: _Words) -> None:
    """Put what a permutation of ``samples`` numbers has at some positions in the place of these."""
    lefts = _root(samples)
    rights = (samples + lefts - np.uint64(1)) // lefts
    for i in range(len(positions)):
        positions[i] = _permuted(positions[i], samples, lefts, rights, keys, np.uint64(0))


@compiled
def permute_lanes(
    positions: _Words,
    samples: np.uint64,
    lanes: np.uint64,
    block: np.uint64,
    keys_of_blocks: _Words,
    keys_within: _Words,
) -> None:
    """Put what `fujimi_data.order.laned` has at some positions in the place of these."""
    blocks = (samples + block - np.uint64(1)) // block
    slots = (blocks + lanes - np.uint64(1)) // lanes * lanes
    slots_root, block_root = _root(slots), _root(block)
    slots_rest = (slots + slots_root - np.uint64(1)) // slots_root
    block_rest = (block + block_root - np.uint64(1)) // block_root
    for i in range(len(positions)):
        value = positions[i]
        while True:
            turns, lane = value // lanes, value % lanes
            place = turns // block * lanes + lane
            slot = _permuted(place, slots, slots_root, slots_rest, keys_of_blocks, np.uint64(0))
            within = _permuted(turns % block, block, block_root, block_rest, keys_within, _hash(slot))
            value = slot * block + within
            if value < samples:
                break
        positions[i] = value


@compiled
def _permuted(
    value: np.uint64, samples: np.uint64, lefts: np.uint64, rights: np.uint64, keys: _Words, tweak: np.uint64
) -> np.uint64:
    """Send a number through the network until it is one of ``samples`` (cycle walking)."""
    while True:
        left, right = value // rights, value % rights
        for i in range(ROUNDS):
            left = (left + _hash(right ^ keys[2 * i] ^ tweak) % lefts) % lefts
            right = (right + _hash(left ^ keys[2 * i + 1] ^ tweak) % rights) % rights
        value = left * rights + right
        if value < samples:
            return value


@compiled
def _hash(word: np.uint64) -> np.uint64:
    """Stafford's mix 13 of 64 bits, as in SplitMix64; G. L. Steele et al., OOPSLA 2014."""
    word = (word ^ (word >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    word = (word ^ (word >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return word ^ (word >> np.uint64(31))


@compiled
def _root(number: np.uint64) -> np.uint64:
    """Smallest whole number whose square is at least ``number``, of up to 2**53."""
    root = np.uint64(np.sqrt(np.float64(number)))
    while root * root < number:
        root += np.uint64(1)
    while root > np.uint64(1) and (root - np.uint64(1)) * (root - np.uint64(1)) >= number:
        root -= np.uint64(1)
    return root
