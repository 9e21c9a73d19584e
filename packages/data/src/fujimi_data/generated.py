"""Pictures that are drawn when they are read."""

from collections.abc import Iterator

import numpy as np
from fujimi_core.offers import Generator
from numpy.typing import NDArray

from fujimi_data.generation import draw
from fujimi_data.shards.manifest import Recipe
from fujimi_data.source import Picture


class GeneratedDataset:
    """The pictures of a dataset that need not exist: each is drawn whenever it is read.

    Args:
        generator: Family of the pictures.
        recipe: What the dataset would be made of; see `fujimi_data.recipe_of`.
    """

    def __init__(self, generator: Generator, recipe: Recipe) -> None:
        self.generator = generator
        self.recipe = recipe

    def __len__(self) -> int:
        return self.recipe.samples

    def pictures(self, numbers: NDArray[np.int64]) -> Iterator[Picture]:
        """Draw pictures.

        Raises:
            IndexError: If there is no such picture.
            PluginError: If the generator fails.
        """
        for number in numbers.tolist():
            if not 0 <= number < len(self):
                raise IndexError(f"sample {number} of {len(self)}")
            yield Picture(draw(self.generator, self.recipe, number), self.recipe.picture(number)[0])
