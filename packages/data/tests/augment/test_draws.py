import numpy as np
import pytest
from fujimi_data.augment.draws import CROP, ERASING, below, between, group_key, sample_key, uniform
from fujimi_data.families.keys import class_key
from fujimi_data.threefry import derived_key, threefry

LARGE = 2**64 - 1


def test_each_part_of_seed_position_and_number_gives_another_key() -> None:
    parts = [(0, 0, 0)] + [
        tuple(value if i == j else 0 for j in range(3)) for i in range(3) for value in (1, 2**32 - 1, 2**32, LARGE)
    ]
    keys = {sample_key(seed=seed, position=position, number=number) for seed, position, number in parts}
    groups = {group_key(seed=seed, group=group) for seed, group, _ in parts}
    classes = {tuple(int(word) for word in class_key(0, category)) for category in range(20)}
    assert len(keys) == len(parts)
    assert len(groups) == len({part[:2] for part in parts})
    assert not keys & groups
    assert not (keys | groups) & classes


def test_numbers_are_words_of_threefry_as_shares_of_their_range() -> None:
    key = derived_key((np.uint32(5), np.uint32(6)), 7)
    words = threefry(*key, np.uint32(CROP), np.uint32(3))
    assert uniform(int(key[0]), int(key[1]), CROP, 3) == (int(words[0]) / 2**32, int(words[1]) / 2**32)
    assert uniform(int(key[0]), int(key[1]), ERASING, 3) != uniform(int(key[0]), int(key[1]), CROP, 3)


def test_the_largest_number_stays_below_the_bound() -> None:
    largest = (2**32 - 1) / 2**32
    for bound in (1, 2, 224, 16_384):
        assert (below(0.0, bound), below(largest, bound)) == (0, bound - 1)
    assert (between(0.0, 2.0, 4.0), between(0.5, 2.0, 4.0)) == (2.0, 3.0)


@pytest.mark.parametrize("name", ["seed", "position", "number"])
@pytest.mark.parametrize("value", [-1, 2**64])
def test_a_number_out_of_range_is_refused_by_name(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name} {value}"):
        sample_key(**{"seed": 0, "position": 0, "number": 0, name: value})


def test_a_group_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="group -1"):
        group_key(seed=0, group=-1)
