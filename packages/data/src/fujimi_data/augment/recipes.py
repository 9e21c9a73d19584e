"""Recipes: augmentations that publications trained and evaluated with."""

from dataclasses import dataclass

from fujimi_data.augment.centre import CentreCrop
from fujimi_data.augment.crop import RandomResizedCrop
from fujimi_data.augment.erase import RandomErasing
from fujimi_data.augment.flip import Flip
from fujimi_data.augment.mix import Mixing
from fujimi_data.augment.padding import PaddedCrop
from fujimi_data.augment.pipeline import Augmentation
from fujimi_data.augment.randaugment import RandAugment


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What happens to samples, and to batches of them.

    Args:
        augmentation: Of each sample.
        mixing: Of a batch, or None.
        repeats: How often each sample is in a batch.
        source: Publication, and file, that the numbers are from.
    """

    augmentation: Augmentation
    mixing: Mixing | None = None
    repeats: int = 1
    source: str


RECIPES: dict[str, Recipe] = {
    "deit": Recipe(
        augmentation=Augmentation(
            pixels=224,
            crop=RandomResizedCrop(resampling="bicubic"),
            flip=Flip(horizontal=0.5),
            randaugment=RandAugment(strength=9.0, deviation=0.5, resampling="bicubic"),
            erasing=RandomErasing(probability=0.25, mode="pixel"),
        ),
        mixing=Mixing(mixup=0.8, cutmix=1.0, cutmix_probability=0.5, group=64, smoothing=0.1),
        repeats=3,
        source="H. Touvron et al., ICML 2021, table 9; facebookresearch/deit, main.py, defaults",
    ),
    # its program erases after it mixed; here it is before, as in DeiT's
    "fdsl-pretrain": Recipe(
        augmentation=Augmentation(
            pixels=224,
            crop=RandomResizedCrop(resampling="random"),
            randaugment=RandAugment(strength=9.0, deviation=0.5, resampling="random"),
            erasing=RandomErasing(probability=0.25, mode="pixel"),
        ),
        mixing=Mixing(mixup=0.8, cutmix=1.0, cutmix_probability=0.5, group=64, smoothing=0.1),
        repeats=3,
        source="S. Takashima et al., CVPR 2023; masora1030/CVPR2023-FDSL-on-VisualAtom, scripts/pretrain.sh, "
        "pretrain.py (--train-interpolation)",
    ),
    "cifar": Recipe(
        augmentation=Augmentation(pixels=32, crop=PaddedCrop(padding=4), flip=Flip(horizontal=0.5)),
        source="K. He et al., CVPR 2016, section 4.2",
    ),
    "evaluate": Recipe(
        augmentation=Augmentation(pixels=224, crop=CentreCrop(fraction=0.875, resampling="bicubic")),
        source="H. Touvron et al., ICML 2021; facebookresearch/deit, datasets.py, build_transform",
    ),
}


def recipe(name: str) -> Recipe:
    """A published recipe.

    Raises:
        ValueError: If it is unknown.
    """
    if name not in RECIPES:
        raise ValueError(f"recipe is {name!r}; known: {', '.join(RECIPES)}")
    return RECIPES[name]
