import itertools

import pytest
from fujimi_parallel.sequence_split import SequenceSplit

SPLITS = [
    SequenceSplit(tokens=tokens, ranks=ranks, causal=causal)
    for ranks in (1, 2, 3, 5)
    for causal in (False, True)
    for tokens in (2 * ranks, 2 * ranks + 1, 3 * ranks + 1, 4 * ranks, 6 * ranks - 1)
]


def pairs(split, rank, source, *, causal):
    """Positions of query and key that a rank computes with the keys of another."""
    queries, keys = split.positions(rank), split.positions(source)
    tile = split.tile(rank, source, causal=causal)
    seeing, seen = queries[tile.first_query :], keys[: tile.keys]
    return [
        (query, key)
        for (i, query), (j, key) in itertools.product(enumerate(seeing), enumerate(seen))
        if not tile.diagonal or j <= i
    ]


def all_pairs(split, *, causal):
    ranks = range(split.ranks)
    return [pair for rank in ranks for source in ranks for pair in pairs(split, rank, source, causal=causal)]


@pytest.mark.parametrize("split", SPLITS)
def test_every_token_is_held_once_and_no_rank_holds_two_more_than_another(split):
    held = [split.positions(rank) for rank in range(split.ranks)]
    assert sorted(itertools.chain(*held)) == list(range(split.tokens))
    assert [split.count(rank) for rank in range(split.ranks)] == [len(positions) for positions in held]
    assert max(map(len, held)) - min(map(len, held)) <= 1


@pytest.mark.parametrize("split", SPLITS)
def test_ranks_together_see_each_pair_of_tokens_once(split):
    positions = range(split.tokens)
    assert sorted(all_pairs(split, causal=False)) == list(itertools.product(positions, positions))


@pytest.mark.parametrize("split", [split for split in SPLITS if split.causal])
def test_ranks_together_see_each_earlier_token_once_and_no_later_one(split):
    earlier = [(query, key) for query in range(split.tokens) for key in range(query + 1)]
    assert sorted(all_pairs(split, causal=True)) == earlier


def test_causal_attention_is_equal_work_for_all_ranks():
    split = SequenceSplit(tokens=40, ranks=5, causal=True)
    work = [sum(len(pairs(split, rank, source, causal=True)) for source in range(5)) for rank in range(5)]
    assert work == [40 * 41 / 2 / 5] * 5


def test_picture_of_197_tokens_goes_to_two_ranks_as_99_and_98():
    split = SequenceSplit(tokens=197, ranks=2)
    assert (split.positions(0), split.positions(1)) == (tuple(range(99)), tuple(range(99, 197)))


def test_rank_holds_an_early_and_a_late_chunk_for_causal_attention():
    split = SequenceSplit(tokens=13, ranks=3, causal=True)
    assert [split.positions(rank) for rank in range(3)] == [(0, 1, 2, 11, 12), (3, 4, 9, 10), (5, 6, 7, 8)]


@pytest.mark.parametrize("split", SPLITS)
def test_mean_of_weighted_means_is_the_mean_of_all(split):
    means = [sum(split.positions(rank)) / split.count(rank) for rank in range(split.ranks)]
    weighted = [split.weight(rank) * mean for rank, mean in enumerate(means)]
    assert sum(weighted) / split.ranks == pytest.approx((split.tokens - 1) / 2)


def test_too_few_tokens_are_refused_with_what_would_work():
    with pytest.raises(ValueError, match=r"^7 tokens do not fill 4 .* at most 3 ranks, or at least 8 tokens$"):
        SequenceSplit(tokens=7, ranks=4, causal=True)
    with pytest.raises(ValueError, match=r"^3 tokens do not fill 4 .* at most 3 ranks, or at least 4 tokens$"):
        SequenceSplit(tokens=3, ranks=4)


def test_no_ranks_are_refused():
    with pytest.raises(ValueError, match="cannot be dealt to 0 ranks"):
        SequenceSplit(tokens=3, ranks=0)
