"""Augmentation: from decoded pictures to the rows of a batch, in bytes, in any number of threads.

A reader has a batch buffer of shape (batch, rows, columns), or (batch, 3, rows, columns) for colour, and fills a row
with ``recipe("deit").augmentation.apply(picture, out, seed=…, position=…, number=…)``: nothing else is shared, and
nothing is remembered. Decisions are functions of seed, position and number, so they do not depend on threads, ranks or
what was read before. Where the work is done, the interpreter's lock is released. Normalisation is left to the device.

Pictures are interleaved, as files hold them: (rows, columns, 3). Batches are planar, as devices want them; the planes
come apart where rows are resized, at no cost. Pixels are those of Pillow 13, with which every kernel is tested.
"""

from fujimi_data.augment.centre import CentreCrop
from fujimi_data.augment.crop import RandomResizedCrop
from fujimi_data.augment.erase import RandomErasing
from fujimi_data.augment.flip import Flip
from fujimi_data.augment.mix import Mix, Mixing, mix_pictures, soft_labels
from fujimi_data.augment.padding import PaddedCrop
from fujimi_data.augment.pipeline import Augmentation
from fujimi_data.augment.randaugment import RandAugment
from fujimi_data.augment.recipes import RECIPES, Recipe, recipe
from fujimi_data.augment.resample import resize

__all__ = [
    "RECIPES",
    "Augmentation",
    "CentreCrop",
    "Flip",
    "Mix",
    "Mixing",
    "PaddedCrop",
    "RandAugment",
    "RandomErasing",
    "RandomResizedCrop",
    "Recipe",
    "mix_pictures",
    "recipe",
    "resize",
    "soft_labels",
]
