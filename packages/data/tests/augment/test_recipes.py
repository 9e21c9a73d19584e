import numpy as np
import pytest
from fujimi_data.augment.recipes import RECIPES, recipe


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_fills_a_row_and_says_where_it_is_from(name: str) -> None:
    augmentation = recipe(name).augmentation
    picture = np.random.default_rng(0).integers(0, 256, (augmentation.pixels, augmentation.pixels), dtype=np.uint8)
    row = np.zeros_like(picture)
    augmentation.apply(picture, row, seed=0, position=0, number=0)
    assert row.std() > 1
    assert recipe(name).source


def test_pretraining_mixes_and_repeats_as_its_script_does() -> None:
    # scripts/pretrain.sh: --repeated-aug --mixup 0.8 --cutmix 1.0, and main.py's RASampler of three repeats
    found = recipe("fdsl-pretrain")
    assert (found.mixing.mixup, found.mixing.cutmix, found.mixing.smoothing, found.repeats) == (0.8, 1.0, 0.1, 3)
    assert (recipe("evaluate").mixing, recipe("evaluate").repeats) == (None, 1)


def test_an_unknown_recipe_is_refused_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="'imagenet'; known: deit, fdsl-pretrain, cifar, evaluate"):
        recipe("imagenet")
