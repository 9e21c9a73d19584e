"""1p-frac: a single fractal, and a slight change of its parameters for each class."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fujimi_data.families.bulk_random import BulkRandom
from fujimi_data.families.chaos_game import MOST_MAPS
from fujimi_data.families.contractive_systems import NUMBERS, maps_of, system_of, uniforms_of
from fujimi_data.families.fractaldb_instances import weighted
from fujimi_data.families.fractaldb_reference import drawn, patch_masks, reference_places
from fujimi_data.families.ifs_orbit import System
from fujimi_data.families.ifs_picture import check_drawing, flipped, picture_of, played_grid
from fujimi_data.families.keys import CLASS_STREAM, KEPT_CLASSES, check, check_mode, class_key, real
from fujimi_data.threefry import Pair, derived_key, words

#: Side of the picture whose lit share decides [pixels].
PIXELS = 512
#: The sum of singular values lies so near to sigma.
_MARGIN = 0.1
_MOST_FILL_RATE = 0.5
_PARAMETERS = 6
_ATTEMPTS = 1000
# Sequence of the last class's key that gives the key of the system of all classes.
_BASE_STREAM = CLASS_STREAM - 1


def render(
    *,
    seed: int,
    category: int,
    instance: int,
    pixels: int,
    mode: str = "default",
    colour: bool = False,
    points: int = 100_000,
    maps: int = 2,
    sigma: float = 3.5,
    delta: float = 0.1,
    fill_rate: float = 0.05,
) -> NDArray[np.uint8]:
    """Draw one picture.

    The seed sets a contractive system. In each class every parameter of it is multiplied by another number near 1; the
    maps' probabilities stay. Numbers are drawn anew until the picture is lit enough. The dataset holds instance 0 of
    each class; from instance 1 on, points and patches are other ones.

    Args:
        seed: Of the data set, 0 to ``2**64 - 1``.
        category: Class, 0 to ``2**32 - 1``.
        instance: Picture of the class, 0 to ``2**32 - 2``.
        pixels: Side of the picture, 16 to 16,384. The fractal fills it but for 6 pixels on each side.
        mode: ``"default"``: random numbers are ours and depend on nothing but the arguments; a picture of 512 decides
            whether it is lit enough, and a system that is not lit enough itself is drawn anew, with which the authors'
            code would not end. ``"reference"``: pixel for pixel what the authors' code draws, whose numbers are not
            seeded: here the system is that of ``numpy.random.default_rng(seed)``, maps are chosen by
            ``numpy.random.seed(100)`` as theirs are, factors and then patches, again and again, are those of
            ``random.Random(instance * 2**32 + category)``.
        colour: Whether the points take 128 colours in turn, in shape (pixels, pixels, 3), rather than one grey.
        points: Of a picture, 1 to 8,388,607.
        maps: Of the system, 2 to 8.
        sigma: Sum of the larger singular values plus twice the smaller ones, give or take 0.1.
        delta: Factors lie between ``1 - delta`` and ``1 + delta``; 0 to 1.
        fill_rate: The lit share of a picture is above this; 0 to 0.5.

    Raises:
        ValueError: If an argument is outside its range, or no picture is lit enough.

    Source:
        R. Nakamura, R. Tadokoro et al., "Scaling Backwards: Minimal Synthetic Pre-training?", ECCV 2024; repository
        1p-frac, ``1p-frac_generater/src/render_from_oneparam_mp.py``, which has the defaults, and 512 pixels.
    """
    check(seed=seed, category=category, instance=instance, pixels=pixels)
    check_drawing(draw="patch", points=points)
    check_mode(mode)
    recipe = Recipe(seed=seed, points=points, maps=maps, sigma=sigma, delta=delta, fill_rate=fill_rate)
    if mode == "reference":
        numbers = BulkRandom.of_python((instance << 32) + category)
        return flipped(_reference_drawing(recipe, numbers, pixels=pixels, colour=colour), 0)
    attempt = lit_attempt(recipe, category)
    picture = (_kept_drawing if pixels <= PIXELS else _drawing)(recipe, category, attempt, instance, pixels, colour)
    if picture is None:
        raise ValueError(f"points of class {category} run away: delta is {delta}; a smaller one is needed")
    return flipped(picture, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What all classes have in common; see :func:`render`.

    Raises:
        ValueError: If a number is outside its range.
    """

    seed: int
    points: int
    maps: int
    sigma: float
    delta: float
    fill_rate: float

    def __post_init__(self) -> None:
        if not 2 <= self.maps <= MOST_MAPS:
            raise ValueError(f"maps is {self.maps}; it must be from 2 to {MOST_MAPS}")
        if not _MARGIN < self.sigma < 3.0 * self.maps - _MARGIN:
            raise ValueError(
                f"sigma is {self.sigma}; of {self.maps} maps it must be between {_MARGIN} and {3 * self.maps - _MARGIN}"
            )
        if not 0.0 <= self.delta <= 1.0:
            raise ValueError(f"delta is {self.delta}; it must be from 0 to 1")
        if not 0.0 <= self.fill_rate <= _MOST_FILL_RATE:
            raise ValueError(f"fill_rate is {self.fill_rate}; it must be from 0 to {_MOST_FILL_RATE}")

    @property
    def weighted_sum(self) -> tuple[float, float]:
        """Least and most that the singular values add up to."""
        return self.sigma - _MARGIN, self.sigma + _MARGIN


def reference_base(recipe: Recipe) -> System:
    """The system that the authors draw from ``numpy.random.default_rng(seed)``."""
    uniforms = np.random.default_rng(recipe.seed).random(NUMBERS * recipe.maps)
    parameters = maps_of(uniforms, weighted_sum=recipe.weighted_sum, as_numpy=True)
    areas = np.abs(np.linalg.det(parameters[:, :4].reshape(-1, 2, 2)))
    return np.column_stack((parameters, areas / areas.sum()))


def _reference_drawing(recipe: Recipe, numbers: BulkRandom, *, pixels: int, colour: bool) -> NDArray[np.uint8]:
    base = reference_base(recipe)
    low, high = 1 - recipe.delta, 1 + recipe.delta
    for _ in range(_ATTEMPTS):
        factors = low + (high - low) * numbers.uniforms(_PARAMETERS * recipe.maps).reshape(-1, _PARAMETERS)
        columns, rows = reference_places(weighted(base, factors), points=recipe.points, pixels=pixels)
        masks = patch_masks(numbers, len(columns))
        picture = drawn(columns, rows, masks, pixels=pixels, draw="patch", colour=colour)
        if _is_lit(picture, recipe):
            return picture
    raise _unlit(recipe)


@lru_cache(maxsize=KEPT_CLASSES)
def lit_attempt(recipe: Recipe, category: int) -> int:
    """How often the factors of a class must be drawn anew until its picture is lit enough."""
    for attempt in range(_ATTEMPTS):
        if _is_lit(_kept_drawing(recipe, category, attempt, 0, PIXELS, False), recipe):
            return attempt
    raise _unlit(recipe)


def class_system(recipe: Recipe, category: int, attempt: int) -> System:
    """The system of a class whose factors were drawn anew some times."""
    key, pairs = class_key(recipe.seed, category), _PARAMETERS * MOST_MAPS // 2
    draws = words(key, stream=CLASS_STREAM, first=attempt * pairs, pairs=pairs).reshape(-1)
    low, high = 1.0 - recipe.delta, 1.0 + recipe.delta
    factors = np.array([real(int(draw), low, high) for draw in draws[: _PARAMETERS * recipe.maps]])
    return weighted(base_system(recipe), factors.reshape(-1, _PARAMETERS))


def _drawing(
    recipe: Recipe, category: int, attempt: int, instance: int, pixels: int, colour: bool
) -> NDArray[np.uint8] | None:
    system, key = class_system(recipe, category, attempt), class_key(recipe.seed, category)
    return _played(system, key, stream=instance, points=recipe.points, pixels=pixels, colour=colour)


# the picture that a class is judged by is also its first
_kept_drawing = lru_cache(maxsize=16)(_drawing)


@lru_cache(maxsize=64)
def base_system(recipe: Recipe) -> System:
    """The first of a seed's systems whose picture is lit enough."""
    key = derived_key(class_key(recipe.seed, CLASS_STREAM), _BASE_STREAM)
    pairs = NUMBERS * MOST_MAPS // 2
    for attempt in range(_ATTEMPTS):
        uniforms = uniforms_of(words(key, stream=CLASS_STREAM, first=attempt * pairs, pairs=pairs))
        system = system_of(maps_of(uniforms[: NUMBERS * recipe.maps], weighted_sum=recipe.weighted_sum))
        picture = _played(system, key, stream=attempt, points=recipe.points, pixels=PIXELS, colour=False)
        if _is_lit(picture, recipe):
            return system
    raise _unlit(recipe)


def _played(
    system: System, key: Pair, *, stream: int, points: int, pixels: int, colour: bool
) -> NDArray[np.uint8] | None:
    grid = played_grid(system, key=key, stream=stream, points=points, pixels=pixels)
    return None if grid is None else picture_of(grid, draw="patch", colour=colour)


def _is_lit(picture: NDArray[np.uint8] | None, recipe: Recipe) -> bool:
    """Whether enough of the values are not black, as the authors count."""
    return picture is not None and bool(np.count_nonzero(picture > 1) / picture.size > recipe.fill_rate)


def _unlit(recipe: Recipe) -> ValueError:
    return ValueError(
        f"none of {_ATTEMPTS} pictures is lit enough: fill_rate is {recipe.fill_rate}; a lower one is needed"
    )
