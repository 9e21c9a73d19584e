"""ExFractalDB and MV-FractalDB: clouds of points of iterated function systems in space, seen from many sides."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from fujimi_core.errors import unknown
from numpy.typing import NDArray

from fujimi_data.compiled import compiled
from fujimi_data.families import exfractaldb_reference
from fujimi_data.families.colours import bright_colours
from fujimi_data.families.ifs3d import draw_cloud, draw_cloud_in_colour, fill_cloud, normalise, probabilities
from fujimi_data.families.keys import CLASS_STREAM, KEPT_CLASSES, check, check_mode, class_key
from fujimi_data.threefry import Pair, fill_words, threefry, words

#: Points of a cloud.
POINTS = 10_000
#: Least variance along each axis, of coordinates that span 2, in the cloud of a class.
VARIANCE = 0.05
#: Models of a class: its system, and twelve others for each of its twelve parameters.
MODELS = 145
#: Where from a model is seen: from anywhere, or from around it.
VIEWS = ("random", "orbit")

# Most systems fail; few points show it. Of 240 that passed none had so little variance in so few.
_SIEVE_POINTS, _SIEVE_VARIANCE = 1024, 0.03
# Clouds of models that are smaller along an axis show next to nothing.
_LEAST_VARIANCE = VARIANCE / 10
# A class is searched for in steps of so many pairs of words: the first draw a system, those from 64 on its cloud.
_ATTEMPT_PAIRS, _CLOUD_PAIR = 8192, 64
_MOST_MAPS = 7
# Where the words of model i begin in sequence i of a class; the first pairs are those of picture i.
_MODEL_PAIR = 2**16
# In an order in which any dozen perturbs each parameter once, and the first dozens the most different ways.
_FACTORS = (0.4, 1.6, 0.7, 1.3, 0.9, 1.1, 0.5, 1.5, 0.8, 1.2, 0.6, 1.4)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class System:
    """An iterated function system in space.

    Args:
        maps: Shape (count, 12): rows of the matrix, then the translation.
        limits: Smallest random word that chooses a later map, for all maps but the last.
    """

    maps: NDArray[np.float64]
    limits: NDArray[np.uint32]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Model:
    """A cloud of points.

    Args:
        points: Shape (3, 10,000).
        chosen: Map of each point.
        sound: Whether the cloud neither diverges nor is next to nothing.
    """

    points: NDArray[np.float32]
    chosen: NDArray[np.uint8]
    sound: bool


def render(
    *,
    seed: int,
    category: int,
    instance: int,
    pixels: int,
    mode: str = "default",
    colour: bool = False,
    views: str = "random",
    models: int = MODELS,
    model_views: int = 12,
    redraw: bool = True,
) -> NDArray[np.uint8]:
    """Draw one picture, shape (pixels, pixels), or (pixels, pixels, 3) in colour: white points on black.

    Instances are views of models in turn: ``model_views`` of each, then again. Model 0 is the system of the class; in
    each other one, one of the twelve parameters of all maps is multiplied by 0.4 to 1.6. With ``models=1``, all
    instances are views of the system itself, as in 3D-OFDB.

    Args:
        seed: Of the data set, 0 to ``2**64 - 1``; in reference mode below ``2**32``.
        category: Class, 0 to ``2**32 - 1``.
        instance: Picture of the class, 0 to ``2**32 - 2``.
        pixels: Side of the picture, 16 to 16,384.
        mode: ``default``: random numbers are ours, and depend on nothing but the arguments. ``reference``: the authors'
            programs, with random numbers and order as ``exfractaldb_reference`` describes; of the options below only
            ``models`` and ``model_views`` count.
        colour: Draw points in colours of their maps that each picture draws anew, darker with depth; the authors have
            none, and neither has the reference mode.
        views: ``random``: from anywhere, upright, each direction as probable as any other. ``orbit``: from around the
            upright axis at equal angles, and up to 3.1 degrees aside, as MV-FractalDB has it.
        models: Models of a class, 1 to 145.
        model_views: Successive instances that show one model, at least 1.
        redraw: Instead of a model whose points go further than a million from the origin or vary next to nothing along
            an axis, show the next that does neither. The authors' programs leave the first kind out if it overflows,
            and show the others.

    Raises:
        ValueError: If an argument is outside its range, or none of those named.

    Source:
        H. Kataoka et al., "Replacing Labeled Real-image Datasets with Auto-generated Contours", CVPR 2022; R. Yamada et
        al., "MV-FractalDB: Formula-driven Supervised Learning for Multi-view Image Recognition", IROS 2021; R. Nakamura
        et al., "Pre-training Vision Transformers with Very Limited Synthesized Images", ICCV 2023 (OFDB).
    """
    check(seed=seed, category=category, instance=instance, pixels=pixels)
    check_mode(mode)
    if views not in VIEWS:
        raise ValueError(unknown("views", views, VIEWS))
    if not 1 <= models <= MODELS:
        raise ValueError(f"models is {models}; it must be from 1 to {MODELS}")
    if model_views < 1:
        raise ValueError(f"model_views is {model_views}; at least 1 is needed")
    if mode == "reference":
        if colour:
            raise ValueError("colour is True; it must be False in reference mode")
        return exfractaldb_reference.picture(
            seed=seed, category=category, instance=instance, pixels=pixels, models=models, model_views=model_views
        )
    key = class_key(seed, category)
    model = shown(key, instance, models=models, model_views=model_views, redraw=redraw)
    heading, height = view_of(key, instance, orbit=views == "orbit", model_views=model_views)
    if not colour:
        return draw_cloud(model.points, heading, height, pixels)
    colours = bright_colours(words(key, stream=instance, first=1, pairs=_MOST_MAPS)[:, 0])
    return draw_cloud_in_colour(model.points, model.chosen, colours, heading, height, pixels)


def shown(key: Pair, instance: int, *, models: int, model_views: int, redraw: bool) -> Model:
    """Model of a class that a picture shows; arguments are those of `render`."""
    first = instance // model_views % models
    for step in range(models):
        model = model_of(key, (first + step) % models)
        if model.sound or not redraw:
            return model
    return model_of(key, first)


@lru_cache(maxsize=128)
def model_of(key: Pair, number: int) -> Model:
    """Compute a model of a class; the last that were asked for, 130 kB each, are kept."""
    system = system_of(key)
    maps = (system.maps * weights_of(number)).astype(np.float32)
    points, chosen = np.empty((3, POINTS), dtype=np.float32), np.empty(POINTS, dtype=np.uint8)
    fill_cloud(maps, system.limits, *key, np.uint32(number), np.uint32(_MODEL_PAIR), points, chosen)
    return Model(points=points, chosen=chosen, sound=normalise(points) >= _LEAST_VARIANCE)


def weights_of(number: int) -> NDArray[np.float64]:
    """Factors of the twelve parameters in a model, shape (12,).

    >>> weights_of(0).tolist() == [1.0] * 12
    True
    >>> float(weights_of(15)[2])
    1.6
    """
    weights = np.ones(12)
    if number:
        factor, parameter = divmod(number - 1, 12)
        weights[parameter] = _FACTORS[factor]
    return weights


@lru_cache(maxsize=KEPT_CLASSES)
def system_of(key: Pair) -> System:
    """Search for the system of a class: the first of a sequence whose cloud varies enough along each axis."""
    maps, limits = _search(*key)
    return System(maps=maps, limits=limits)


@compiled
def _search(key_0: np.uint32, key_1: np.uint32) -> tuple[NDArray[np.float64], NDArray[np.uint32]]:
    few, few_chosen = np.empty((3, _SIEVE_POINTS), dtype=np.float32), np.empty(_SIEVE_POINTS, dtype=np.uint8)
    many, many_chosen = np.empty((3, POINTS), dtype=np.float32), np.empty(POINTS, dtype=np.uint8)
    words = np.empty((2, _CLOUD_PAIR), dtype=np.uint32)
    first = np.uint32(0)
    stream = np.uint32(CLASS_STREAM)
    while True:
        fill_words(words[0], words[1], key_0, key_1, stream, first)
        maps = _maps(words)
        limits = (np.cumsum(probabilities(maps))[:-1] * 2.0**32).astype(np.uint32)
        rounded = maps.astype(np.float32)
        cloud = np.uint32(first + _CLOUD_PAIR)
        fill_cloud(rounded, limits, key_0, key_1, stream, cloud, few, few_chosen)
        if normalise(few) >= _SIEVE_VARIANCE:
            fill_cloud(rounded, limits, key_0, key_1, stream, cloud, many, many_chosen)
            if normalise(many) > VARIANCE:
                return maps, limits
        first = np.uint32(first + _ATTEMPT_PAIRS)


@compiled
def _maps(words: NDArray[np.uint32]) -> NDArray[np.float64]:
    """Two to seven maps with parameters from -1 to 1."""
    count = 2 + (np.uint64(words[0, 0]) * np.uint64(_MOST_MAPS - 1) >> np.uint64(32))
    maps = np.empty((count, 12))
    flat = words.reshape(-1)
    for m in range(count):
        for parameter in range(12):
            maps[m, parameter] = flat[1 + 12 * m + parameter] * 2.0**-31 - 1.0
    return maps


def view_of(key: Pair, instance: int, *, orbit: bool, model_views: int) -> tuple[float, float]:
    """Draw where a camera looks to: an angle about the upright axis, and a height from -1 to 1."""
    around, height = _view(*key, np.uint32(instance))
    if orbit:
        turn = instance % model_views / model_views
        return exfractaldb_reference.heading(turn, around - math.pi), 0.0
    return around, height


@compiled
def _view(key_0: np.uint32, key_1: np.uint32, instance: np.uint32) -> tuple[float, float]:
    word_0, word_1 = threefry(key_0, key_1, instance, np.uint32(0))
    return word_0 * (2 * math.pi / 2.0**32), word_1 * 2.0**-31 - 1.0
