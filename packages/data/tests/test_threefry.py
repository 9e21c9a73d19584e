import numpy as np
import pytest
from fujimi_data.threefry import derived_key, threefry, words


def pair(*values: int) -> tuple[np.uint32, ...]:
    return tuple(np.uint32(value) for value in values)


# Random123 1.14, tests/kat_vectors: threefry2x32, 20 rounds
@pytest.mark.parametrize(
    ("counter", "key", "answer"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_words_are_the_published_answers(
    counter: tuple[int, int], key: tuple[int, int], answer: tuple[int, int]
) -> None:
    assert threefry(*pair(*key), *pair(*counter)) == answer


def test_a_part_of_a_sequence_is_what_lies_there_in_the_whole() -> None:
    key = pair(3, 4)
    whole = words(key, stream=5, pairs=100)
    assert np.array_equal(words(key, stream=5, first=37, pairs=20), whole[37:57])


def test_keys_streams_and_indices_all_give_other_words() -> None:
    keys = [pair(1, 2), pair(2, 1), derived_key(pair(1, 2), 0), derived_key(pair(1, 2), 1)]
    seen = {bytes(words(key, stream=stream, pairs=1)) for key in keys for stream in range(50)}
    assert len(seen) == len(keys) * 50


def test_each_bit_is_set_in_half_of_the_words() -> None:
    drawn = words(pair(9, 9), stream=0, pairs=20_000).reshape(-1)
    shares = [float((drawn >> np.uint32(bit) & 1).mean()) for bit in range(32)]
    # 40,000 fair coins: a standard deviation is 0.0025
    assert max(abs(share - 0.5) for share in shares) < 5 * 0.0025


@pytest.mark.parametrize("pairs", [0, 1, 2, 3, 7, 64, 101])
def test_many_words_are_those_that_are_drawn_one_by_one(pairs: int) -> None:
    key = pair(3, 4)
    # the counter goes round
    first = 2**32 - 5
    one_by_one = [threefry(*key, *pair(6, (first + i) % 2**32)) for i in range(pairs)]
    assert words(key, stream=6, first=first, pairs=pairs).tolist() == [list(words) for words in one_by_one]
