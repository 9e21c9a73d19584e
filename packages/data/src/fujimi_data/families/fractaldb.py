"""FractalDB: fractals of iterated function systems; the class sets the system."""

from functools import lru_cache

import numpy as np
from fujimi_core.errors import unknown
from numpy.typing import NDArray

from fujimi_data.families.chaos_game import coefficients
from fujimi_data.families.fractaldb_instances import (
    FLIPS,
    PATTERNS,
    STAGES,
    proper_variant,
    row_of,
    weight_rows,
    weighted,
)
from fujimi_data.families.fractaldb_reference import drawn, reference_drawing
from fujimi_data.families.fractaldb_search import category_of, reference_category
from fujimi_data.families.ifs_picture import check_drawing, flipped, picture_of, played_grid
from fujimi_data.families.ifs_orbit import System, orbit_places
from fujimi_data.families.keys import check, class_key
from fujimi_data.threefry import Pair, words

# Drawings of more pixels are not kept for their flips.
_KEPT_PIXELS = 1024
_REFERENCE_SEEDS = 2**32


def render(
    *,
    seed: int,
    category: int,
    instance: int,
    pixels: int,
    mode: str = "default",
    draw: str = "patch",
    colour: bool = False,
    points: int = 200_000,
    weights: float = 0.4,
    fill_rate: float = 0.2,
    reject_diverging: bool = True,
) -> NDArray[np.uint8]:
    """Draw one picture.

    A category is a system of 2 to 7 affine maps whose points fill enough of a picture. Its 1000 pictures, in the
    authors' order, are 25 variants with one parameter of all maps multiplied by a weight, each with 10 patterns of
    patches, each in 4 flips: instance ``(variant * 10 + pattern) * 4 + flip``. From instance 1000 on come new patterns.
    Pictures of points have one pattern.

    Args:
        seed: Of the data set, 0 to ``2**64 - 1``; to ``2**32 - 1`` in reference mode.
        category: Class, 0 to ``2**32 - 1``.
        instance: Picture of the class, 0 to ``2**32 - 2``.
        pixels: Side of the picture, 16 to 16,384. The fractal fills it but for 6 pixels on each side.
        mode: ``"default"``: random numbers are ours, depend on nothing but the arguments, and any class is found
            without the others. ``"reference"``: pixel for pixel what the authors' code draws; categories are those of
            ``numpy.random.seed(seed)``, 1 for the published ones, maps are chosen by ``numpy.random.seed(100)``, and
            patches by ``random.Random(category * 2**32 + instance // 4)``. Categories are found one after the other,
            about 30 a second.
        draw: ``"patch"``: an opaque random pattern of 3 by 3 pixels at each point, ``"point"``: a pixel.
        colour: Whether the points take 128 colours in turn, in shape (pixels, pixels, 3), rather than one grey.
        points: Of a picture, 1 to 8,388,607.
        weights: w of the weights ``1 - 2 w``, ``1 - w``, ``1 + w``, ``1 + 2 w``; 0 to 0.5.
        fill_rate: Least share of the pixels that a category's 100,000 points fill in a picture of 512; above 0, up to
            0.3.
        reject_diverging: In default mode, draw a weight anew, nearer to 1, if the points run away or nearly all lie on
            a few pixels: :func:`proper_variant`. Otherwise, and in reference mode, such pictures hold a few dots,
            as the authors' do: 4.6 % of their variants reach infinity, and another 2.4 % coordinates above 10,000.

    Raises:
        ValueError: If an argument is outside its range.

    Source:
        H. Kataoka et al., "Pre-training without Natural Images", ACCV 2020; repository
        FractalDB-Pretrained-ResNet-PyTorch, whose ``exe.sh`` has the defaults, and 362 pixels.
    """
    check(seed=seed, category=category, instance=instance, pixels=pixels)
    check_drawing(draw=draw, points=points)
    _check(seed=seed, mode=mode, weights=weights, fill_rate=fill_rate)
    drawing, flip = divmod(instance, FLIPS)
    draw_once = _drawing if pixels <= _KEPT_PIXELS else _drawing.__wrapped__
    picture = draw_once(
        seed, category, drawing, pixels, mode, draw, colour, points, weights, fill_rate, reject_diverging
    )
    return flipped(picture, flip)


def _check(*, seed: int, mode: str, weights: float, fill_rate: float) -> None:
    if mode not in ("default", "reference"):
        raise ValueError(unknown("mode", mode, ("default", "reference")))
    if mode == "reference" and seed >= _REFERENCE_SEEDS:
        raise ValueError(f"seed is {seed}; in reference mode it must be from 0 to {_REFERENCE_SEEDS - 1}")
    if not 0.0 <= weights <= 0.5:
        raise ValueError(f"weights is {weights}; it must be from 0 to 0.5")
    if not 0.0 < fill_rate <= 0.3:
        raise ValueError(f"fill_rate is {fill_rate}; it must be above 0, up to 0.3")


@lru_cache(maxsize=16)
def _drawing(
    seed: int,
    category: int,
    drawing: int,
    pixels: int,
    mode: str,
    draw: str,
    colour: bool,
    points: int,
    weights: float,
    fill_rate: float,
    reject_diverging: bool,
) -> NDArray[np.uint8]:
    row = row_of(drawing, patterns=PATTERNS if draw == "patch" else 1)
    if mode == "reference":
        system = weighted(reference_category(category, seed=seed, fill_rate=fill_rate), weight_rows(weights)[row])
        masks = (category << 32) + drawing
        return reference_drawing(system, masks=masks, points=points, pixels=pixels, draw=draw, colour=colour)
    key = class_key(seed, category)
    for stage in range(STAGES + 1) if reject_diverging else ():
        variant = proper_variant(key, fill_rate=fill_rate, weights=weights, row=row, stage=stage)
        if variant is None:
            continue
        grid = played_grid(variant.system, key=key, stream=drawing, points=points, pixels=pixels, limit=variant.limit)
        if grid is not None:
            return picture_of(grid, draw=draw, colour=colour)
    system = weighted(category_of(key, fill_rate=fill_rate), weight_rows(weights)[row])
    grid = played_grid(system, key=key, stream=drawing, points=points, pixels=pixels)
    if grid is not None:
        return picture_of(grid, draw=draw, colour=colour)
    return _runaway_drawing(system, key=key, stream=drawing, points=points, pixels=pixels, draw=draw, colour=colour)


def _runaway_drawing(
    system: System, *, key: Pair, stream: int, points: int, pixels: int, draw: str, colour: bool
) -> NDArray[np.uint8]:
    """What the authors draw of points that run away: those up to 100 before the first that is no number."""
    drawn_words = words(key, stream=stream, pairs=(points + 1) // 2).reshape(-1)[:points]
    _, bounds = coefficients(system)
    chosen = np.searchsorted(bounds, drawn_words, side="right").astype(np.uint8)
    columns, rows = orbit_places(system, chosen, pixels=pixels)
    return drawn(columns, rows, drawn_words & np.uint32(511), pixels=pixels, draw=draw, colour=colour)
