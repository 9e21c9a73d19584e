"""Authors' programs: they draw classes, views and pictures from one sequence of random numbers."""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from fujimi_data.families.bulk_random import BulkRandom, drawn_from

Class = TypeVar("Class")
View = TypeVar("View")
Picture = NDArray[np.uint8]
_SEEDS = 2**64
_CATEGORIES = 2**32


def reference_source(*, seed: int, category: int, instance: int | None = None) -> random.Random:
    """Random numbers of a class or, with ``instance``, of a picture, when pictures are drawn in any order.

    It is ``random.Random(seed + 2**64 * category)`` of a class, and ``random.Random(seed + 2**64 * category + 2**96 *
    (1 + instance))`` of a picture.
    """
    picture = 0 if instance is None else 1 + instance
    return random.Random(seed + _SEEDS * (category + _CATEGORIES * picture))


@dataclass(frozen=True, slots=True, kw_only=True)
class Program(Generic[Class, View]):
    """What a program draws, each with the side of its pictures [pixels].

    Args:
        next_class: A class, and the view of its first picture.
        next_view: Another view.
        next_picture: A picture of a class from a view.
    """

    next_class: Callable[[BulkRandom, int], tuple[Class, View]]
    next_view: Callable[[BulkRandom, int], View]
    next_picture: Callable[[BulkRandom, Class, View, int], Picture]

    def run(
        self, source: random.Random, *, classes: Iterable[int], instances: int, pixels: int
    ) -> Iterator[tuple[int, int, Picture]]:
        """Draw classes one after another, each with all of its pictures; after a picture comes the view of the next.

        Args:
            source: Where all random numbers come from; between pictures it is where the program's is.
            classes: Their numbers.
            instances: Pictures a class.
            pixels: Side of a picture.
        """
        for category in classes:
            with drawn_from(source) as numbers:
                drawn, view = self.next_class(numbers, pixels)
            for instance in range(instances):
                with drawn_from(source) as numbers:
                    picture = self.next_picture(numbers, drawn, view, pixels)
                    view = self.next_view(numbers, pixels)
                yield category, instance, picture

    def picture(self, *, seed: int, category: int, instance: int, pixels: int) -> Picture:
        """Draw one picture with the numbers of ``reference_source``.

        Those of the class give the class and the view of instance 0, those of the instance the view of any other, and
        then the picture.
        """
        drawn, view = self.next_class(BulkRandom.of_python(reference_source(seed=seed, category=category)), pixels)
        numbers = BulkRandom.of_python(reference_source(seed=seed, category=category, instance=instance))
        if instance:
            view = self.next_view(numbers, pixels)
        return self.next_picture(numbers, drawn, view, pixels)
