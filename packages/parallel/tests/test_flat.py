import itertools
import random

import pytest
from fujimi_parallel.flat import buckets, part_numel, segments

ALL_OF_FUGAKU = 158_976


def tensors(seed):
    draw = random.Random(seed)
    return {f"p{number}": draw.choice([0, 1, 7, 64, 1_000]) for number in range(draw.randint(1, 12))}


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("ranks", [1, 2, 3, 8, 100])
def test_every_element_is_held_exactly_once_in_order(seed, ranks):
    numels = tensors(seed)
    held = [
        (segment.name, element)
        for rank in range(ranks)
        for segment in segments(numels, ranks=ranks, rank=rank)
        for element in range(segment.start, segment.stop)
    ]
    assert held == [(name, element) for name, numel in numels.items() for element in range(numel)]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("ranks", [1, 2, 3, 8, 100])
def test_segments_lie_end_to_end_within_the_part(seed, ranks):
    numels = tensors(seed)
    part = part_numel(sum(numels.values()), ranks)
    for rank in range(ranks):
        end = 0
        for segment in segments(numels, ranks=ranks, rank=rank):
            assert segment.offset == end
            end += segment.stop - segment.start
        assert end <= part


@pytest.mark.parametrize("ranks", [1, 2, 3, 8, 100, ALL_OF_FUGAKU])
@pytest.mark.parametrize("numel", [1, 100, 86_567_656, 13_417_000_001])
def test_padding_is_below_one_element_a_rank(numel, ranks):
    assert 0 <= part_numel(numel, ranks) * ranks - numel < ranks


def test_all_ranks_of_fugaku_hold_each_element_of_a_block_once():
    """Of GPT-13B's, whose dims are far below the number of ranks; see the trap of dim 0 in torch's FSDP2."""
    width = 5_184
    numels = {"qkv": 3 * width * width, "bias": 3 * width, "proj": width * width, "norm": width}
    total = sum(numels.values())
    held, end = dict.fromkeys(numels, 0), {}
    for rank in range(ALL_OF_FUGAKU):
        for segment in segments(numels, ranks=ALL_OF_FUGAKU, rank=rank):
            assert segment.start == end.get(segment.name, 0)
            end[segment.name] = segment.stop
            held[segment.name] += segment.stop - segment.start
    assert held == numels
    assert part_numel(total, ALL_OF_FUGAKU) == -(-total // ALL_OF_FUGAKU)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("limit", [1, 65, 1_000, 10**9])
def test_buckets_hold_each_tensor_once_last_first_and_keep_to_the_limit(seed, limit):
    nbytes = tensors(seed)
    found = buckets(nbytes, limit)
    assert [name for bucket in found for name in bucket] == list(reversed(nbytes))
    for bucket in found:
        assert len(bucket) == 1 or sum(nbytes[name] for name in bucket) <= limit
    for bucket, following in itertools.pairwise(found):
        assert sum(nbytes[name] for name in bucket) + nbytes[following[0]] > limit  # no two could be one
