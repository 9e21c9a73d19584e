import math

import numpy as np
import pytest
from fujimi_data.augment.crop import Box, RandomResizedCrop
from fujimi_data.augment.draws import CROP, Key, sample_key, uniform
from fujimi_data.augment.flip import Flip
from numpy.typing import NDArray
from PIL import Image

PICTURE = np.random.default_rng(0).integers(0, 256, (61, 47, 3), dtype=np.uint8)
KEYS = [sample_key(seed=0, position=0, number=number) for number in range(4000)]


def torchvisions_box(crop: RandomResizedCrop, key: Key, rows: int, columns: int) -> Box:
    """``RandomResizedCrop.get_params`` of torchvision 0.29, statement by statement, with our random numbers."""
    area = rows * columns
    log_ratio = [math.log(side) for side in crop.ratio]
    for attempt in range(10):
        numbers, places = (uniform(*key, CROP, first + attempt) for first in (1, 11))
        target_area = area * (crop.scale[0] + (crop.scale[1] - crop.scale[0]) * numbers[0])
        aspect_ratio = math.exp(log_ratio[0] + (log_ratio[1] - log_ratio[0]) * numbers[1])
        w = round(math.sqrt(target_area * aspect_ratio))
        h = round(math.sqrt(target_area / aspect_ratio))
        if 0 < w <= columns and 0 < h <= rows:
            return Box(int(places[0] * (rows - h + 1)), int(places[1] * (columns - w + 1)), h, w)
    in_ratio = float(columns) / float(rows)
    if in_ratio < min(crop.ratio):
        w = columns
        h = round(w / min(crop.ratio))
    elif in_ratio > max(crop.ratio):
        h = rows
        w = round(h * max(crop.ratio))
    else:
        w, h = columns, rows
    return Box((rows - h) // 2, (columns - w) // 2, h, w)


@pytest.mark.parametrize(
    "crop",
    [
        RandomResizedCrop(),
        RandomResizedCrop(scale=(0.5, 1.0), ratio=(0.5, 2.0)),
        RandomResizedCrop(scale=(1.0, 1.0), ratio=(2.0, 2.0)),
        RandomResizedCrop(scale=(1.0, 1.0), ratio=(0.5, 0.5)),
        RandomResizedCrop(scale=(1.0, 1.0), ratio=(47 / 61, 47 / 61)),
    ],
)
def test_crops_are_those_of_torchvision_for_the_same_numbers(crop: RandomResizedCrop) -> None:
    drawn = [crop.draw(key, rows=61, columns=47) for key in KEYS[:300]]
    assert drawn == [torchvisions_box(crop, key, 61, 47) for key in KEYS[:300]]


def test_a_picture_of_any_shape_has_a_crop_of_at_least_one_pixel() -> None:
    crop = RandomResizedCrop(scale=(1.0, 1.0), ratio=(500.0, 500.0))
    assert crop.draw(KEYS[0], rows=9, columns=5) == (4, 0, 1, 5)


def test_areas_and_places_are_uniform_and_shapes_log_uniform() -> None:
    boxes = np.array([RandomResizedCrop(scale=(0.1, 0.5)).draw(key, rows=1000, columns=1000) for key in KEYS])
    top, left, height, width = boxes.T.astype(float)
    shares = np.array([height * width / 1e6, np.log(width / height), top / (1000 - height), left / (1000 - width)])
    for share, low, high in zip(shares, (0.1, -math.log(4 / 3), 0, 0), (0.5, math.log(4 / 3), 1, 1), strict=True):
        counts = np.histogram(share, bins=8, range=(low - 1e-3, high + 1e-3))[0]
        # 4000 numbers in 8 bins; a standard deviation is 21
        assert np.abs(counts - 500).max() < 5 * 21
    correlations = np.corrcoef(shares) - np.eye(4)
    assert np.abs(correlations).max() < 5 / math.sqrt(len(KEYS))


@pytest.mark.parametrize("resampling", ["bilinear", "bicubic", "random"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_crop_is_what_pillow_cuts_out_resizes_and_mirrors(resampling: str, channels: int) -> None:
    picture = PICTURE if channels == 3 else PICTURE[:, :, 0].copy()
    crop, flip = RandomResizedCrop(resampling=resampling), Flip(horizontal=0.5, vertical=0.5)
    for key in KEYS[:40]:
        out = np.empty((32, 40) if channels == 1 else (3, 32, 40), dtype=np.uint8)
        crop.write(picture, out, key=key, flip=flip)
        expected = pillows(picture, crop, flip, key)
        assert np.array_equal(out if channels == 1 else out.transpose(1, 2, 0), expected)


def pillows(picture: NDArray[np.uint8], crop: RandomResizedCrop, flip: Flip, key: Key) -> NDArray[np.uint8]:
    top, left, height, width = crop.draw(key, rows=len(picture), columns=picture.shape[1])
    how = Image.Resampling[crop.draw_resampling(key).upper()]
    image = Image.fromarray(picture).crop((left, top, left + width, top + height))
    # in two steps, and in the order that Pillow has since 13.0
    down_first = height - 32 > max(0, 2 * (width - 40))
    image = image.resize((width, 32) if down_first else (40, height), how).resize((40, 32), how)
    for asked, turn in zip(
        flip.draw(key), (Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM), strict=True
    ):
        image = image.transpose(turn) if asked else image
    return np.asarray(image)


def test_random_resampling_takes_each_as_often() -> None:
    drawn = [RandomResizedCrop(resampling="random").draw_resampling(key) for key in KEYS]
    assert abs(drawn.count("bicubic") - 2000) < 5 * 32
    assert set(drawn) == {"bilinear", "bicubic"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": (0.0, 1.0)}, "scale is"),
        ({"scale": (0.9, 0.1)}, "scale is"),
        ({"ratio": (0.0, 1.0)}, "ratio is"),
        ({"ratio": (1.0, math.inf)}, "ratio is"),
        ({"resampling": "nearest"}, "'nearest'; known"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandomResizedCrop(**options)
