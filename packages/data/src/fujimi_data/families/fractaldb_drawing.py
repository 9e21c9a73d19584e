"""Draws the variants of FractalDB's categories, ours and the authors'."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fujimi_data.families.chaos_game import coefficients
from fujimi_data.families.fractaldb_instances import STAGES, proper_variant, weight_rows, weighted
from fujimi_data.families.fractaldb_reference import drawn, reference_drawing
from fujimi_data.families.fractaldb_search import category_of, check_fill_rate, reference_category
from fujimi_data.families.ifs_orbit import System, orbit_places
from fujimi_data.families.ifs_picture import check_drawing, picture_of, played_grid
from fujimi_data.families.keys import check_mode, class_key
from fujimi_data.threefry import Pair, words

_REFERENCE_SEEDS = 2**32
_MOST_WEIGHTS = 0.5
# Drawings of more pixels are not kept.
_KEPT_PIXELS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What the pictures of a dataset have in common; the arguments are those of FractalDB's ``render``.

    Raises:
        ValueError: If one is outside its range.
    """

    seed: int
    mode: str
    draw: str
    colour: bool
    points: int
    weights: float
    fill_rate: float
    reject_diverging: bool

    def __post_init__(self) -> None:
        check_drawing(draw=self.draw, points=self.points)
        check_mode(self.mode)
        if self.mode == "reference" and self.seed >= _REFERENCE_SEEDS:
            raise ValueError(f"seed is {self.seed}; in reference mode it must be from 0 to {_REFERENCE_SEEDS - 1}")
        if not 0.0 <= self.weights <= _MOST_WEIGHTS:
            raise ValueError(f"weights is {self.weights}; it must be from 0 to {_MOST_WEIGHTS}")
        check_fill_rate(self.fill_rate)


def drawing(recipe: Recipe, category: int, number: int, row: int, pixels: int) -> NDArray[np.uint8]:
    """Draw a variant of a category; what is drawn last is kept.

    Args:
        recipe: What all pictures have in common.
        category: Class.
        number: Of the drawing; sets the random numbers, in reference mode ``random.Random(category * 2**32 + number)``.
        row: Of the weights.
        pixels: Side of the picture.

    Returns:
        The picture; its first row is the lowest. Not to be written into.
    """
    if pixels > _KEPT_PIXELS:
        return _drawing(recipe, category, number, row, pixels)
    return _kept_drawing(recipe, category, number, row, pixels)


def _drawing(recipe: Recipe, category: int, number: int, row: int, pixels: int) -> NDArray[np.uint8]:
    if recipe.mode == "reference":
        found = reference_category(category, seed=recipe.seed, fill_rate=recipe.fill_rate)
        return reference_drawing(
            weighted(found, weight_rows(recipe.weights)[row]),
            masks=(category << 32) + number,
            points=recipe.points,
            pixels=pixels,
            draw=recipe.draw,
            colour=recipe.colour,
        )
    key = class_key(recipe.seed, category)
    picture = _proper_drawing(recipe, key, number, row, pixels) if recipe.reject_diverging else None
    return _any_drawing(recipe, key, number, row, pixels) if picture is None else picture


# the flips of a drawing are asked for one after the other
_kept_drawing = lru_cache(maxsize=16)(_drawing)


def _proper_drawing(recipe: Recipe, key: Pair, number: int, row: int, pixels: int) -> NDArray[np.uint8] | None:
    """Draw with the row's weight, or the first after it that gives a proper picture."""
    for stage in range(STAGES + 1):
        variant = proper_variant(key, fill_rate=recipe.fill_rate, weights=recipe.weights, row=row, stage=stage)
        if variant is None:
            continue
        grid = played_grid(
            variant.system, key=key, stream=number, points=recipe.points, pixels=pixels, limit=variant.limit
        )
        if grid is not None:
            return picture_of(grid, draw=recipe.draw, colour=recipe.colour)
    return None


def _any_drawing(recipe: Recipe, key: Pair, number: int, row: int, pixels: int) -> NDArray[np.uint8]:
    """Draw with the row's weight, whatever comes of it."""
    system = weighted(category_of(key, fill_rate=recipe.fill_rate), weight_rows(recipe.weights)[row])
    grid = played_grid(system, key=key, stream=number, points=recipe.points, pixels=pixels)
    if grid is None:
        return _runaway_drawing(recipe, system, key, number, pixels)
    return picture_of(grid, draw=recipe.draw, colour=recipe.colour)


def _runaway_drawing(recipe: Recipe, system: System, key: Pair, number: int, pixels: int) -> NDArray[np.uint8]:
    """What the authors draw of points that run away: those up to 100 before the first that is no number."""
    drawn_words = words(key, stream=number, pairs=(recipe.points + 1) // 2).reshape(-1)[: recipe.points]
    _, bounds = coefficients(system)
    chosen = np.searchsorted(bounds, drawn_words, side="right").astype(np.uint8)
    columns, rows = orbit_places(system, chosen, pixels=pixels)
    masks = drawn_words[: len(columns)] & np.uint32(511)
    return drawn(columns, rows, masks, pixels=pixels, draw=recipe.draw, colour=recipe.colour)
