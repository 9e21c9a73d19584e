"""Contractive iterated function systems; the class sets the system, drawn by singular values."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from fujimi_core.errors import unknown
from numpy.typing import NDArray

from fujimi_data.compiled import compiled
from fujimi_data.families.chaos_game import BLOCK, LARGEST, MOST_MAPS, coefficients, fill_places, frame, play
from fujimi_data.families.contractive_reference import reference_picture, reference_system
from fujimi_data.families.contractive_systems import NUMBERS, default_sum, maps_of, system_of, uniforms_of
from fujimi_data.families.density import (
    LEAST_SATURATION,
    LEAST_VALUE,
    LOOKS,
    MARGIN,
    PIXEL,
    count_points,
    levels_of,
    shown,
    stamped,
)
from fujimi_data.families.ifs_orbit import System
from fujimi_data.families.keys import CLASS_STREAM, KEPT_CLASSES, check, class_key, integer, real
from fujimi_data.families.patches import MOST_POINTS
from fujimi_data.scratch import borrowed
from fujimi_data.threefry import Pair, words

_STAMPS = 2**9
_JITTER = (0.8, 1.1)
_TRIES = 4
#: Pair of words, in an instance's sequence, from which its choices begin; its points come before.
_CHOICES = 2**31


def render(
    *,
    seed: int,
    category: int,
    instance: int,
    pixels: int,
    mode: str = "default",
    look: str = "binary",
    colour: bool = False,
    patch: bool = True,
    points: int = 100_000,
    least_maps: int = 2,
    most_maps: int = 4,
    jitter: bool = True,
    flips: bool = True,
) -> NDArray[np.uint8]:
    """Draw one picture.

    Args:
        seed: Of the data set, 0 to ``2**64 - 1``.
        category: Class, 0 to ``2**32 - 1``.
        instance: Picture of the class, 0 to ``2**32 - 2``.
        pixels: Side of the picture, 16 to 16,384. The fractal fills it.
        mode: ``"default"``: random numbers are ours and depend on nothing but the arguments. ``"reference"``: pixel for
            pixel what the authors' code draws; systems are those of ``numpy.random.default_rng([seed, category])``,
            points and colours those of ``numpy.random.seed(instance)`` in compiled code, and the stamp that of
            ``numpy.random.seed(instance)``. Pictures are then neither jittered nor flipped.
        look: ``"binary"``: pixels are on or off. ``"density"``: they show how many points lie there, in proportion to
            the densest pixel.
        colour: Whether what is shown is a hue, from one that is drawn at random on, in shape (pixels, pixels, 3).
        patch: Whether each point sets a stamp of 3 by 3 random pixels, the same for all points of the picture. The
            authors' may have no pixel at all, which makes a black picture; in default mode none has.
        points: Of a picture, 1 to 8,388,607.
        least_maps: Fewest of a system, at least 2.
        most_maps: Most of a system, at most 8.
        jitter: Whether in each picture one map is multiplied by a number between 0.8 and 1.1, if it still contracts.
        flips: Whether pictures are turned over and transposed at random.

    Raises:
        ValueError: If an argument is outside its range.

    Source:
        C. Anderson, R. Farrell, "Improving Fractal Pre-training", WACV 2022; repository fractal-pretraining,
        ``fractal_learning/fractals/ifs.py``, and ``training/datamodule/datasets/generator.py`` for jitter and flips.
        Its backgrounds, blur and zoom are left to the augmentation of a training run.
    """
    check(seed=seed, category=category, instance=instance, pixels=pixels)
    check_options(mode=mode, look=look, points=points, least_maps=least_maps, most_maps=most_maps)
    if mode == "reference":
        system = reference_system(np.random.default_rng([seed, category]), least_maps=least_maps, most_maps=most_maps)
        return reference_picture(
            system, seed=instance, points=points, pixels=pixels, look=look, colour=colour, patch=patch
        )
    key = class_key(seed, category)
    scene = scene_of(key, instance, patch=patch, least_maps=least_maps, most_maps=most_maps, jitter=jitter, flips=flips)
    counts = _counted(
        scene.system, key=key, stream=instance, points=points, pixels=pixels, transposed=scene.is_transposed
    )
    return scene.shown(stamped(counts, scene.stamp), look=look, colour=colour)


class Scene(NamedTuple):
    """What is drawn at random of a picture, but for its points.

    Args:
        system: That is played.
        stamp: See :func:`stamped`.
        flip: Bit 0: upside down; bit 1: left to right; bit 2: transposed, before the others.
        hue: See :func:`hue_levels`.
        saturation: See :func:`hue_levels`.
        value: See :func:`hue_levels`.
    """

    system: System
    stamp: int
    flip: int
    hue: float
    saturation: int
    value: int

    @property
    def is_transposed(self) -> bool:
        """Whether x and y are exchanged."""
        return self.flip >= 4

    def shown(self, covered: NDArray[np.uint32], *, look: str, colour: bool) -> NDArray[np.uint8]:
        """The picture of how many stamps cover each pixel."""
        levels = levels_of(
            int(covered.max()),
            look=look,
            colour=colour,
            hue=self.hue,
            saturation=self.saturation,
            value=self.value,
        )
        # a stamp is as likely as the same stamp turned over
        return shown(covered, levels)[:: -1 if self.flip & 1 else 1, :: -1 if self.flip & 2 else 1].copy()


def scene_of(
    key: Pair, instance: int, *, patch: bool, least_maps: int, most_maps: int, jitter: bool, flips: bool
) -> Scene:
    """Draw a scene of a class; the rest is as of :func:`render`."""
    system = class_system(key, least_maps=least_maps, most_maps=most_maps)
    choices = [int(word) for word in words(key, stream=instance, first=_CHOICES, pairs=7).reshape(-1)]
    flip, stamp, hue, saturation, value, *_ = choices[2 * _TRIES :]
    return Scene(
        system=jittered(system, choices[: 2 * _TRIES]) if jitter else system,
        stamp=integer(stamp, 1, _STAMPS - 1) if patch else PIXEL,
        flip=flip % 8 if flips else 0,
        hue=real(hue, 0.0, 255.0),
        saturation=int(real(saturation, LEAST_SATURATION, 1.0) * 255),
        value=int(real(value, LEAST_VALUE, 1.0) * 255),
    )


def check_options(*, mode: str, look: str, points: int, least_maps: int, most_maps: int) -> None:
    """Check arguments of :func:`render`, which says what they may be.

    Raises:
        ValueError: If one is outside its range.
    """
    for name, given, known in (("mode", mode, ("default", "reference")), ("look", look, LOOKS)):
        if given not in known:
            raise ValueError(unknown(name, given, known))
    if not 1 <= points <= MOST_POINTS:
        raise ValueError(f"points is {points}; it must be from 1 to {MOST_POINTS}")
    if not 2 <= least_maps <= most_maps <= MOST_MAPS:
        raise ValueError(
            f"least_maps is {least_maps} and most_maps is {most_maps}; they must be from 2 to {MOST_MAPS}, in order"
        )


@lru_cache(maxsize=KEPT_CLASSES)
def class_system(key: Pair, *, least_maps: int, most_maps: int) -> System:
    """The system of a class; read-only."""
    draws = words(key, stream=CLASS_STREAM, pairs=1 + NUMBERS * MOST_MAPS // 2).reshape(-1)
    maps = integer(int(draws[0]), least_maps, most_maps)
    uniforms = uniforms_of(draws[2 : 2 + NUMBERS * maps])
    system = system_of(maps_of(uniforms, weighted_sum=default_sum(maps)))
    system.flags.writeable = False
    return system


def jittered(system: System, draws: Sequence[int]) -> System:
    """Multiply one map by a number between 0.8 and 1.1, so that no map expands; after some tries, none.

    Args:
        system: Whose maps do not expand.
        draws: Two words for each try.
    """
    for which, how_much in zip(draws[::2], draws[1::2], strict=True):
        parameters = system[:, :6].copy()
        parameters[integer(which, 0, len(system) - 1)] *= real(how_much, *_JITTER)
        if not any(_expands(*row[:4]) for row in parameters.tolist()):
            return system_of(parameters)
    return system


def _expands(a: float, b: float, c: float, d: float) -> bool:
    """Whether the larger singular value is above 1."""
    squares, area = a * a + b * b + c * c + d * d, a * d - b * c
    return squares + math.sqrt(max(squares * squares - 4.0 * area * area, 0.0)) > 2.0


def _counted(
    system: System, *, key: Pair, stream: int, points: int, pixels: int, transposed: bool
) -> NDArray[np.uint32]:
    """Points on each pixel, with a margin of zeros; this thread's until it borrows again."""
    played, width = -(-points // BLOCK) * BLOCK, pixels + 2 * MARGIN
    xs, ys, drawn, places, counts = borrowed(
        (played, np.float32), (played, np.float32), (played, np.uint32), (points, np.int32), (width * width, np.uint32)
    )
    play(xs, ys, drawn, *coefficients(system), *key, np.uint32(stream), False)
    # x goes down, y to the right, as in the authors' pictures
    down, right = (ys, xs) if transposed else (xs, ys)
    _place_and_count(counts, places, right[:points], down[:points], pixels)
    return counts.reshape(width, width)


@compiled
def _place_and_count(
    counts: NDArray[np.uint32],
    places: NDArray[np.int32],
    xs: NDArray[np.float32],
    ys: NDArray[np.float32],
    pixels: int,
) -> None:
    counts[:] = 0
    within, low_x, low_y, scale_x, scale_y = frame(xs, ys, pixels - 1, np.float32(LARGEST))
    if within:
        fill_places(places, xs, ys, low_x, low_y, scale_x, scale_y, MARGIN, pixels + 2 * MARGIN)
        count_points(counts, places)
