from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from fujimi_data.augment.draws import sample_key
from fujimi_data.augment.randaugment import OPERATIONS, Operation, RandAugment, apply
from PIL import Image, ImageEnhance, ImageOps

Same = Callable[..., bool]
FILL = (124, 116, 104)
BICUBIC = Image.Resampling.BICUBIC
KEYS = [sample_key(seed=0, position=0, number=number) for number in range(4000)]


def timms(name: str, level: float, negative: bool, image: Image.Image, fill: Any) -> Image.Image:
    """An operation of ``rand-…-inc1`` as timm 1.0, ``auto_augment.py``, calls Pillow for it."""
    sign, bands = -1 if negative else 1, len(image.getbands())
    factor = max(0.1, 1.0 + sign * ((level / 10.0) * 0.9))
    bits = 4 - int((level / 10.0) * 4)
    add = min(128, int((level / 10.0) * 110))
    brighter = [min(255, i + add) if i < 128 else i for i in range(256)]
    shear, move = sign * ((level / 10.0) * 0.3), sign * ((level / 10.0) * 0.45)

    def moved(*matrix: float) -> Image.Image:
        return image.transform(image.size, Image.Transform.AFFINE, matrix, fillcolor=fill, resample=BICUBIC)

    calls: dict[str, Callable[[], Image.Image]] = {
        "auto_contrast": lambda: ImageOps.autocontrast(image),
        "equalize": lambda: ImageOps.equalize(image),
        "invert": lambda: ImageOps.invert(image),
        "rotate": lambda: image.rotate(sign * ((level / 10.0) * 30.0), resample=BICUBIC, fillcolor=fill),
        # Pillow 13 refuses 0 bits, of which older ones made black
        "posterize": lambda: ImageOps.posterize(image, bits) if bits else Image.new(image.mode, image.size),
        "solarize": lambda: ImageOps.solarize(image, 256 - min(256, int((level / 10.0) * 256))),
        "solarize_add": lambda: image.point(brighter * bands),
        "colour": lambda: ImageEnhance.Color(image).enhance(factor),
        "contrast": lambda: ImageEnhance.Contrast(image).enhance(factor),
        "brightness": lambda: ImageEnhance.Brightness(image).enhance(factor),
        "sharpness": lambda: ImageEnhance.Sharpness(image).enhance(factor),
        "shear_x": lambda: moved(1, shear, 0, 0, 1, 0),
        "shear_y": lambda: moved(1, 0, 0, shear, 1, 0),
        "translate_x": lambda: moved(1, 0, move * image.size[0], 0, 1, 0),
        "translate_y": lambda: moved(1, 0, 0, 0, 1, move * image.size[1]),
    }
    return calls[name]()


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("negative", [False, True])
def test_operations_of_all_strengths_are_those_of_timm(same_as_pillow: Same, name: str, negative: bool) -> None:
    colour = np.random.default_rng(0).integers(0, 256, (30, 41, 3), dtype=np.uint8) // 16 * 11 + 40
    # Pillow's own grey of the colour that fills
    grey = Image.new("RGB", (1, 1), FILL).convert("L").getpixel((0, 0))
    for picture, fill in ((colour, FILL), (colour[:, :, 1].copy(), grey)):
        for level in (0.0, 0.4, 5.0, 8.7, 9.0, 9.99, 10.0):
            operation = Operation(name=name, strength=level, negative=negative, resampling="bicubic")
            assert same_as_pillow(
                lambda planes, operation=operation: apply(operation, planes, fill=FILL),
                lambda image, level=level, fill=fill: timms(name, level, negative, image, fill),
                picture,
            ), (level, fill)


def test_two_layers_that_are_applied_half_of_the_time() -> None:
    counts = np.bincount([len(RandAugment().draw(key)) for key in KEYS])
    # binomial with n = 2, p = 1/2
    assert np.abs(counts - 4000 * np.array([0.25, 0.5, 0.25])).max() < 5 * np.sqrt(1000)


def test_operations_signs_and_resamplings_are_uniform() -> None:
    drawn = [operation for key in KEYS for operation in RandAugment(probability=1.0, resampling="random").draw(key)]
    pairs = np.bincount(
        [
            4 * OPERATIONS.index(operation.name) + 2 * operation.negative + (operation.resampling == "bicubic")
            for operation in drawn
        ]
    )
    # 8000 operations of 60 kinds
    assert len(pairs) == 60
    assert np.abs(pairs - 8000 / 60).max() < 5 * np.sqrt(8000 / 60)


def test_strengths_are_normal_and_end_at_0_and_10() -> None:
    strong = np.array([RandAugment(probability=1.0).draw(key)[0].strength for key in KEYS])
    half = np.array([RandAugment(strength=5.0, deviation=1.0, probability=1.0).draw(key)[1].strength for key in KEYS])
    # of a normal distribution, 2.28 % lie above two deviations, 15.87 % above one and 50 % above none
    assert strong.max() == 10
    assert abs((strong == 10).mean() - 0.0228) < 5 * np.sqrt(0.0228 / 4000)
    for bound, share in ((5.0, 0.5), (6.0, 0.1587), (7.0, 0.0228), (4.0, 0.8413)):
        assert abs((half > bound).mean() - share) < 5 * np.sqrt(share * (1 - share) / 4000)
    assert {op.strength for key in KEYS[:50] for op in RandAugment(deviation=0.0).draw(key)} == {9.0}


def test_layers_do_not_repeat_each_other() -> None:
    drawn = [RandAugment(layers=3, probability=1.0).draw(key) for key in KEYS]
    for one, other in ((0, 1), (1, 2), (0, 2)):
        equal = np.mean([layers[one].name == layers[other].name for layers in drawn])
        assert abs(equal - 1 / 15) < 5 * np.sqrt(1 / 15 / 4000)


def test_what_is_drawn_is_applied_in_its_order() -> None:
    augment = RandAugment(layers=4, probability=1.0)
    start = np.random.default_rng(0).integers(0, 256, (1, 20, 20), dtype=np.uint8)
    for key in KEYS[:20]:
        at_once, one_by_one = start.copy(), start.copy()
        augment.apply(at_once, key=key)
        for operation in augment.draw(key):
            apply(operation, one_by_one, fill=augment.fill)
        assert np.array_equal(at_once, one_by_one)


@pytest.mark.parametrize(
    "options",
    [
        {"strength": 10.5},
        {"deviation": -1.0},
        {"deviation": float("inf")},
        {"layers": 0},
        {"probability": 1.5},
        {"fill": (0, 0, 256)},
        {"resampling": "nearest"},
    ],
)
def test_options_out_of_range_are_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} is"):
        RandAugment(**options)
