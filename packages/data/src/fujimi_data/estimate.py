"""What it takes to make a dataset, judged by drawing some of its pictures."""

import time
from dataclasses import dataclass, replace

from fujimi_core.offers import Generator

from fujimi_data.generation import trial, trial_numbers
from fujimi_data.shards import index, tar
from fujimi_data.shards.manifest import Recipe


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
    _trial_s(generator, replace(recipe, seed=recipe.seed ^ 1))  # compiles
    first_s, _ = _trial_s(generator, recipe)
    then_s, nbytes = _trial_s(generator, recipe)
    numbers = trial_numbers(recipe)
    tried = len({recipe.picture(number)[0] for number in numbers})
    # what the first pictures of classes take longer than others: the search for what the classes are made of
    seconds = recipe.samples * then_s / len(numbers) + recipe.classes * max(0.0, first_s - then_s) / tried
    row_nbytes = index.row_type(recipe.label_nbytes).itemsize
    sample_nbytes = nbytes / len(numbers)
    return Estimate(
        nbytes=recipe.samples * (sample_nbytes + 2 * row_nbytes) + recipe.shards * (3 * tar.BLOCK + len(tar.END)),
        inodes=recipe.shards + 2,
        core_h=seconds / 3600,
    )


def _trial_s(generator: Generator, recipe: Recipe) -> tuple[float, int]:
    """CPU time of drawing and encoding some samples [s], and their length [B]."""
    started = time.process_time()
    nbytes = sum(entry.nbytes for entry, _ in trial(generator, recipe))
    return time.process_time() - started, nbytes
