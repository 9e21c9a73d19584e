from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fujimi_data.augment.crop import RandomResizedCrop
from fujimi_data.augment.draws import sample_key
from fujimi_data.augment.erase import RandomErasing
from fujimi_data.augment.flip import Flip
from fujimi_data.augment.pipeline import Augmentation
from fujimi_data.augment.randaugment import RandAugment
from numpy.typing import NDArray

AUGMENTATION = Augmentation(
    pixels=24,
    crop=RandomResizedCrop(),
    flip=Flip(horizontal=0.5),
    randaugment=RandAugment(),
    erasing=RandomErasing(probability=0.5),
)
PICTURES = np.random.default_rng(0).integers(0, 256, (40, 32, 32), dtype=np.uint8)


def batch(order: list[int], threads: int = 1, *, seed: int = 0, position: int = 0) -> NDArray[np.uint8]:
    """Samples in one batch, filled in this order of places."""
    rows = np.zeros((len(PICTURES), 24, 24), dtype=np.uint8)

    def fill(number: int) -> None:
        AUGMENTATION.apply(PICTURES[number], rows[number], seed=seed, position=position, number=number)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, order))
    return rows


def test_samples_do_not_depend_on_threads_or_order() -> None:
    order = list(range(len(PICTURES)))
    assert np.array_equal(batch(order), batch(order[::-1], threads=4))


def test_seed_and_position_each_give_other_pictures() -> None:
    order = list(range(len(PICTURES)))
    batches = [batch(order), batch(order, seed=1), batch(order, position=1), batch(order, position=2**40)]
    for i, one in enumerate(batches):
        for other in batches[:i]:
            assert (one == other).all(axis=(1, 2)).mean() < 0.1


def test_steps_follow_each_other_crop_flip_operations_erasing() -> None:
    for number, picture in enumerate(PICTURES):
        key = sample_key(seed=3, position=9, number=number)
        expected, row = np.zeros((1, 24, 24), dtype=np.uint8), np.zeros((24, 24), dtype=np.uint8)
        RandomResizedCrop().write(picture, expected[0], key=key, flip=Flip(horizontal=0.5))
        RandAugment().apply(expected, key=key)
        RandomErasing(probability=0.5).apply(expected, key=key)

        AUGMENTATION.apply(picture, row, seed=3, position=9, number=number)

        assert np.array_equal(row, expected[0])


def test_colours_come_out_planar() -> None:
    picture = np.stack([PICTURES[0], PICTURES[0], PICTURES[0]], axis=2)
    augmentation = Augmentation(pixels=24, crop=RandomResizedCrop(), flip=Flip(horizontal=0.5))
    colour, grey = np.zeros((3, 24, 24), dtype=np.uint8), np.zeros((24, 24), dtype=np.uint8)
    augmentation.apply(picture, colour, seed=0, position=0, number=0)
    augmentation.apply(PICTURES[0], grey, seed=0, position=0, number=0)
    assert (colour == grey).all()


def test_a_row_of_another_size_and_no_pixels_are_refused() -> None:
    with pytest.raises(ValueError, match="fills 24 x 24"):
        AUGMENTATION.apply(PICTURES[0], np.zeros((24, 25), dtype=np.uint8), seed=0, position=0, number=0)
    with pytest.raises(ValueError, match="pixels is 0"):
        Augmentation(pixels=0, crop=RandomResizedCrop())
