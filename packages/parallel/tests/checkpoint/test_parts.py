import itertools

import numpy as np
import pytest
from fujimi_parallel.checkpoint.parts import Part, sources
from hypothesis import given, settings
from hypothesis import strategies as st

SHAPES = st.lists(st.integers(1, 6), max_size=4).map(tuple)


@st.composite
def parts(draw, shape):
    block = [draw(st.tuples(st.integers(0, extent), st.integers(0, extent)).map(sorted)) for extent in shape]
    numel = int(np.prod([end - begin for begin, end in block]))
    flat = draw(st.tuples(st.integers(0, numel), st.integers(0, numel)).map(sorted))
    return Part.of("x", shape, block=[tuple(borders) for borders in block], flat=tuple(flat))


@st.composite
def tilings(draw, shape):
    """Parts that have each element once: a grid of blocks, each in shares of its own."""
    cuts = [[0, *sorted(draw(st.sets(st.integers(1, extent), max_size=2))), extent] for extent in shape]
    found = []
    for index in np.ndindex(*(len(each) - 1 for each in cuts)):
        block = [(each[number], each[number + 1]) for each, number in zip(cuts, index, strict=True)]
        count = draw(st.integers(1, 4))
        found += [Part.of("x", shape, block=block).share(share, count) for share in range(count)]
    return draw(st.permutations(found))


def elements(part, whole):
    return whole[tuple(slice(*borders) for borders in part.block)].reshape(-1)[slice(*part.flat)]


def whole_of(shape):
    return np.arange(1, np.prod(shape, dtype=int) + 1).reshape(shape)


def find(wanted, saved):
    blocks = np.array([part.block for part in saved], dtype=np.int64).reshape(len(saved), len(wanted.shape), 2)
    flats = np.array([part.flat for part in saved], dtype=np.int64).reshape(len(saved), 2)
    return sources(wanted, blocks, flats)


def assembled(wanted, saved):
    """The wanted elements, copied one by one from what the saved parts hold, and how often each was copied."""
    whole = whole_of(wanted.shape)
    result, times = np.zeros(wanted.numel, dtype=int), np.zeros(wanted.numel, dtype=int)
    for number, runs in find(wanted, saved):
        held = elements(saved[number], whole)
        for target, source, length in zip(runs.target, runs.source, runs.length, strict=True):
            for each in range(length):
                result[target + each] = held[source + each]
                times[target + each] += 1
    return result, times


@settings(max_examples=150)
@given(st.data())
def test_any_part_is_assembled_from_any_tiling(data):
    shape = data.draw(SHAPES)
    saved, wanted = data.draw(tilings(shape)), data.draw(parts(shape))
    result, times = assembled(wanted, saved)
    np.testing.assert_array_equal(result, elements(wanted, whole_of(shape)))
    assert (times == 1).all()


@settings(max_examples=150)
@given(st.data())
def test_parts_that_overlap_give_each_element_once_or_name_the_first_that_none_has(data):
    shape = data.draw(SHAPES)
    saved, wanted = data.draw(st.lists(parts(shape), max_size=6)), data.draw(parts(shape))
    whole = whole_of(shape)
    held = {int(each) for part in saved for each in elements(part, whole)}
    expected = elements(wanted, whole)
    missing = [number for number, each in enumerate(expected) if int(each) not in held]
    if missing:
        with pytest.raises(LookupError, match=rf"element {missing[0]} of x\[.* was saved by no rank"):
            find(wanted, saved)
        return
    result, times = assembled(wanted, saved)
    np.testing.assert_array_equal(result, expected)
    assert (times == 1).all()


@settings(max_examples=50)
@given(st.data())
def test_runs_ascend_in_both_and_each_part_comes_once(data):
    shape = data.draw(SHAPES)
    found = find(data.draw(parts(shape)), data.draw(tilings(shape)))
    for _, runs in found:
        assert (runs.length > 0).all()
        assert (np.diff(runs.target) >= runs.length[:-1]).all()
        assert (np.diff(runs.source) >= runs.length[:-1]).all()
    assert len({number for number, _ in found}) == len(found)


def test_rows_of_a_matrix_saved_in_rows_are_one_run():
    saved = [Part.of("x", (1000, 64), block=((row, row + 100), (0, 64))) for row in range(0, 1000, 100)]
    found = find(Part.of("x", (1000, 64), block=((150, 250), (0, 64))), saved)
    assert [(number, runs.length.tolist()) for number, runs in found] == [(1, [50 * 64]), (2, [50 * 64])]


def test_short_share_of_a_long_block_looks_at_its_rows_only():
    """Without the limit to its rows, there would be 2**40 runs to think of."""
    shape = (2**40, 8)
    saved = [Part.of("x", shape, block=((0, 2**40), (0, 4))), Part.of("x", shape, block=((0, 2**40), (4, 8)))]
    found = find(Part.of("x", shape, flat=(2**42, 2**42 + 16)), saved)
    assert [runs.length.tolist() for _, runs in found] == [[4, 4], [4, 4]]


def test_shares_follow_each_other_and_differ_by_one_element_at_most():
    part = Part.of("x", (10, 10), flat=(7, 90))
    shares = [part.share(index, 6).flat for index in range(6)]
    assert shares[0][0] == 7
    assert shares[-1][1] == 90
    assert all(end == begin for (_, end), (begin, _) in itertools.pairwise(shares))
    assert {end - begin for begin, end in shares} == {13, 14}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"block": [(0, 4)]}, r"w: block \(\(0, 4\),\) has not one range for each dim of shape \(4, 6\)"),
        ({"block": [(0, 4), (3, 7)]}, r"w: block .* does not lie in shape \(4, 6\)"),
        ({"block": [(3, 1), (0, 6)]}, "does not lie in shape"),
        ({"flat": (0, 25)}, r"w: flat range \(0, 25\) does not lie in the block's 24"),
        ({"flat": (-1, 5)}, "does not lie in the block's"),
    ],
)
def test_part_that_is_not_in_the_tensor_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Part.of("w", (4, 6), **arguments)


def test_share_that_is_none_of_so_many_is_refused():
    with pytest.raises(ValueError, match="w: share 3 of 3"):
        Part.of("w", (4,)).share(3, 3)
