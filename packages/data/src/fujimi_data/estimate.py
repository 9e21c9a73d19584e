"""What it takes to make a dataset, judged by drawing some of its pictures."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from fujimi_core.offers import Generator

from fujimi_data.generation import trial
from fujimi_data.shards import index, tar
from fujimi_data.shards.manifest import Recipe

# Classes that are tried, and those of them that are tried again; more than 128 pictures no generator keeps.
_CLASSES, _AGAIN = 160, 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a dataset takes.

    Args:
        nbytes: On disk.
        inodes: Files.
        core_h: Time of one core of this machine to draw and write it [h].
    """

    nbytes: float
    inodes: int
    core_h: float


def estimate(generator: Generator, recipe: Recipe) -> Estimate:
    """Draw some pictures, and tell what all would take.

    Raises:
        PluginError: If the generator fails or gives something else than a picture.
    """
    first, then = _trials(recipe)
    _trial(generator, recipe, first[:1])  # compiles
    first_s, _ = _trial(generator, recipe, first)
    then_s, sample_nbytes = _trial(generator, recipe, then)
    # what the first pictures of classes take longer than others: the search for what the classes are made of
    seconds = recipe.samples * then_s + recipe.classes * max(0.0, first_s - then_s)
    row_nbytes = index.row_type(recipe.label_nbytes).itemsize
    return Estimate(
        nbytes=recipe.samples * (sample_nbytes + 2 * row_nbytes) + recipe.shards * (3 * tar.BLOCK + len(tar.END)),
        inodes=recipe.shards + 2,
        core_h=seconds / 3600,
    )


def _trials(recipe: Recipe) -> tuple[list[int], list[int]]:
    """Numbers of a sample of each of the first classes; and of others of some of these classes.

    When the latter are drawn, generators have what they keep of classes. What they keep of single pictures is gone, as
    it is in datasets of many classes, which take turns.
    """
    classes = min(recipe.classes, _CLASSES)
    first = [category * recipe.instances // classes * recipe.classes + category for category in range(classes)]
    away = (recipe.instances + 1) // 2 * recipe.classes
    return first, [(number + away) % recipe.samples for number in first[:_AGAIN]]


def _trial(generator: Generator, recipe: Recipe, numbers: Sequence[int]) -> tuple[float, float]:
    """CPU time of drawing and encoding a sample [s], and its length [B]: means of some."""
    started = time.process_time()
    nbytes = sum(entry.nbytes for entry, _ in trial(generator, recipe, numbers))
    return (time.process_time() - started) / len(numbers), nbytes / len(numbers)
