import math
from typing import Any

import numpy as np
import pytest
from fujimi_data.augment.draws import ERASING, Key, sample_key, uniform
from fujimi_data.augment.erase import IMAGENET_MEAN, IMAGENET_STD, RandomErasing

KEYS = [sample_key(seed=0, position=0, number=number) for number in range(2000)]


def timms_rectangles(erasing: RandomErasing, key: Key, rows: int, columns: int) -> list[tuple[int, int, int, int]]:
    """``RandomErasing._erase`` of timm 1.0, statement by statement, with our random numbers."""
    rectangles: list[tuple[int, int, int, int]] = []
    chance, number = uniform(*key, ERASING, 0)
    if chance >= erasing.probability:
        return rectangles
    area = rows * columns
    low, high = erasing.count
    count = low + int(number * (high - low + 1))
    log_ratio = (math.log(erasing.ratio[0]), math.log(erasing.ratio[1]))
    for i in range(count):
        for attempt in range(10):
            numbers, places = (uniform(*key, ERASING, 1 + 20 * i + 2 * attempt + j) for j in range(2))
            target_area = (erasing.area[0] + (erasing.area[1] - erasing.area[0]) * numbers[0]) * area / count
            aspect_ratio = math.exp(log_ratio[0] + (log_ratio[1] - log_ratio[0]) * numbers[1])
            h = round(math.sqrt(target_area * aspect_ratio))
            w = round(math.sqrt(target_area / aspect_ratio))
            if w < columns and h < rows:
                rectangles.append((int(places[0] * (rows - h + 1)), int(places[1] * (columns - w + 1)), h, w))
                break
    return rectangles


@pytest.mark.parametrize(
    "erasing",
    [
        RandomErasing(probability=1.0),
        RandomErasing(probability=0.5, count=(1, 4)),
        RandomErasing(probability=1.0, area=(0.9, 1.0), ratio=(0.2, 5.0)),
    ],
)
def test_rectangles_are_those_of_timm_for_the_same_numbers(erasing: RandomErasing) -> None:
    drawn = [erasing.draw(key, rows=60, columns=80) for key in KEYS[:300]]
    assert drawn == [timms_rectangles(erasing, key, 60, 80) for key in KEYS[:300]]


def test_samples_are_erased_as_often_as_asked() -> None:
    erased = np.mean([bool(RandomErasing().draw(key, rows=60, columns=80)) for key in KEYS])
    assert abs(erased - 0.25) < 5 * math.sqrt(0.25 * 0.75 / len(KEYS))


@pytest.mark.parametrize("mode", ["const", "pixel"])
@pytest.mark.parametrize("channels", [1, 3])
def test_rectangles_are_filled_and_nothing_else(mode: str, channels: int) -> None:
    erasing = RandomErasing(probability=1.0, count=(1, 3), mode=mode)
    colours = np.array([124, 116, 104], dtype=np.uint8) if channels == 3 else np.array([117], dtype=np.uint8)
    for key in KEYS[:50]:
        planes = np.full((channels, 61, 47), 200, dtype=np.uint8)
        erasing.apply(planes, key=key)
        inside = np.zeros((61, 47), dtype=bool)
        for top, left, height, width in erasing.draw(key, rows=61, columns=47):
            inside[top : top + height, left : left + width] = True
        assert (planes[:, ~inside] == 200).all()
        if mode == "const":
            assert (planes[:, inside] == colours[:, None]).all()
        else:
            assert (planes[:, inside] != 200).mean() > 0.95


def test_noise_is_what_a_normal_distribution_becomes_in_bytes() -> None:
    noise = np.concatenate([noise_of(key, 3) for key in KEYS[:40]], axis=1)
    for values, mean, std in zip(noise, IMAGENET_MEAN, IMAGENET_STD, strict=True):
        for bound in (0, 30, 100, 120, 200, 254):
            share = (1 + math.erf((bound + 0.5 - 255 * mean) / (255 * std * math.sqrt(2)))) / 2
            assert abs((values <= bound).mean() - share) < 5 * math.sqrt(share * (1 - share) / len(values)) + 2**-16
    assert np.abs(np.corrcoef(noise) - np.eye(3)).max() < 5 / math.sqrt(noise.shape[1])


def test_neighbouring_pixels_and_lines_are_independent() -> None:
    planes = np.zeros((1, 101, 99), dtype=np.uint8)
    RandomErasing(probability=1.0, area=(0.97, 0.97), ratio=(1.0, 1.0)).apply(planes, key=KEYS[0])
    top, left, height, width = RandomErasing(probability=1.0, area=(0.97, 0.97), ratio=(1.0, 1.0)).draw(
        KEYS[0], rows=101, columns=99
    )[0]
    block = planes[0, top : top + height, left : left + width].astype(float)
    for step in range(1, 9):
        across = np.corrcoef(block[:, step:].ravel(), block[:, :-step].ravel())[0, 1]
        down = np.corrcoef(block[step:].ravel(), block[:-step].ravel())[0, 1]
        assert max(abs(across), abs(down)) < 5 / math.sqrt(block.size)


def noise_of(key: Key, channels: int) -> "np.ndarray[Any, np.dtype[np.uint8]]":
    planes = np.zeros((channels, 40, 40), dtype=np.uint8)
    erasing = RandomErasing(probability=1.0, area=(0.5, 0.5), ratio=(1.0, 1.0))
    erasing.apply(planes, key=key)
    top, left, height, width = erasing.draw(key, rows=40, columns=40)[0]
    return planes[:, top : top + height, left : left + width].reshape(channels, -1)


@pytest.mark.parametrize(
    "options",
    [
        {"probability": -0.1},
        {"area": (0.5, 0.4)},
        {"area": (0.5, 1.1)},
        {"ratio": (0.0, 1.0)},
        {"count": (0, 1)},
        {"count": (2, 1)},
        {"mode": "rand"},
        {"mean": (0.5, 0.5, 1.5)},
        {"std": (0.5, 0.5, 0.0)},
    ],
)
def test_options_out_of_range_are_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} is"):
        RandomErasing(**options)
