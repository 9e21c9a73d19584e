import random

import numpy as np
import pytest
from fujimi_data.families.bulk_random import BulkRandom
from fujimi_data.families.program import Program, reference_source
from numpy.typing import NDArray


def next_class(numbers: BulkRandom, pixels: int) -> tuple[int, float]:
    return numbers.integer(0, 99), next_view(numbers, pixels)


def next_view(numbers: BulkRandom, pixels: int) -> float:
    return numbers.real(0, 1)


def next_picture(numbers: BulkRandom, drawn: int, view: float, pixels: int) -> NDArray[np.uint8]:
    return np.full((pixels, pixels), (drawn + int(100 * view) + numbers.integer(0, 9)) % 256, dtype=np.uint8)


PROGRAM = Program(next_class=next_class, next_view=next_view, next_picture=next_picture)


def test_a_run_draws_from_one_source_in_order() -> None:
    source, same = random.Random(4), random.Random(4)
    drawn = list(PROGRAM.run(source, classes=[7, 9], instances=2, pixels=2))
    expected = []
    for category in (7, 9):
        of_class, view = same.randint(0, 99), same.uniform(0, 1)
        for instance in range(2):
            level = of_class + int(100 * view) + same.randint(0, 9)
            expected.append((category, instance, level))
            view = same.uniform(0, 1)
    assert [(category, instance, int(picture[0, 0])) for category, instance, picture in drawn] == expected
    assert source.getstate() == same.getstate()


@pytest.mark.parametrize("instance", [0, 3])
def test_one_picture_has_sources_of_its_own(instance: int) -> None:
    of_class = reference_source(seed=1, category=2)
    of_picture = reference_source(seed=1, category=2, instance=instance)
    drawn, view = of_class.randint(0, 99), of_class.uniform(0, 1)
    if instance:
        view = of_picture.uniform(0, 1)
    level = drawn + int(100 * view) + of_picture.randint(0, 9)
    picture = PROGRAM.picture(seed=1, category=2, instance=instance, pixels=4)
    assert picture.tolist() == np.full((4, 4), level).tolist()


@pytest.mark.parametrize(
    ("arguments", "seed"),
    [
        ({"seed": 2**64 - 1, "category": 0}, 2**64 - 1),
        ({"seed": 3, "category": 5}, 3 + 5 * 2**64),
        ({"seed": 3, "category": 5, "instance": 0}, 3 + 5 * 2**64 + 2**96),
        ({"seed": 3, "category": 5, "instance": 2**32 - 2}, 3 + 5 * 2**64 + (2**32 - 1) * 2**96),
    ],
)
def test_sources_are_those_documented(arguments: dict[str, int], seed: int) -> None:
    assert reference_source(**arguments).getstate() == random.Random(seed).getstate()
