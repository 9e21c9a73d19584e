"""RCDB: pictures of radial contours, polygons around a point; the class sets their shape."""

import math
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled
from fujimi_data.families.bulk_random import BulkRandom
from fujimi_data.families.keys import CLASS_STREAM, KEPT_CLASSES, check, check_mode, class_key, integer, real
from fujimi_data.families.orbits import NOISE_SPAN, Drawing, Orbits, draw, draw_orbits_at
from fujimi_data.families.polyline import Inks
from fujimi_data.families.program import Program
from fujimi_data.threefry import Pair, words

#: Side of the picture that lengths are given for [pixels].
CANVAS = 512
_WHITE = 0xFFFFFF
# Centres are up to half of this from the middle, along both axes.
_SPREAD = 400
# Vertices are those of an exponential distribution that lie in a range.
_VERTICES_MEAN, _VERTICES_LEAST, _VERTICES_MOST = 100, 3, 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Contours:
    """What all pictures of a class have in common; lengths in pixels of a picture of 512.

    Args:
        vertices: Of each polygon, 3 to 200.
        polygons: 1 to 200.
        noise: Size of the noise, 0 to 4.
        gap: Mean distance between polygons, 0 to 0.1, the noise aside.
    """

    vertices: int
    polygons: int
    noise: float
    gap: float


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What sets a picture apart from others of its class, greys and noise aside.

    Args:
        radius: Of the ellipse that polygons start from, 0 to 100.
        oval_x: Factor of the radius along x, 1 to 2.
        oval_y: Factor of the radius along y, 1 to 2.
        centre_x: Column of the centre [pixels of the canvas].
        centre_y: Row of the centre.
    """

    radius: int
    oval_x: float
    oval_y: float
    centre_x: float
    centre_y: float


def render(
    *,
    seed: int,
    category: int,
    instance: int,
    pixels: int,
    mode: str = "default",
    colour: bool = False,
    scaled: bool = True,
) -> NDArray[np.uint8]:
    """Draw one picture, shape (pixels, pixels), or (pixels, pixels, 3) in colour.

    Args:
        seed: Of the data set, 0 to ``2**64 - 1``.
        category: Class, 0 to ``2**32 - 1``.
        instance: Picture of the class, 0 to ``2**32 - 2``.
        pixels: Side of the picture, 16 to 16,384; in reference mode an even number.
        mode: ``default``: random numbers are ours, and depend on nothing but the arguments. ``reference``: the authors'
            program, pixel by pixel, with its random numbers from ``program.reference_source``: those of the class give
            its parameters and the view of instance 0, those of the instance its polygons, and the view before them if
            it is another; ``reference_pictures`` gives all pictures of a run of the program.
        colour: Draw each polygon in red, green and blue of its own; the authors have greys only, and so has the
            reference mode.
        scaled: Draw the picture of 512 at other sizes, in lines of one pixel and the same greys. Otherwise, and always
            in reference mode, as the authors' program does: contours stay as large whatever the size, and greys are
            from 0 to half of the size, cut off at 255, so that of 1,024 pixels half of the lines are white on white.

    Raises:
        ValueError: If an argument is outside its range, or none of those named.

    Source:
        H. Kataoka et al., "Replacing Labeled Real-image Datasets with Auto-generated Contours", CVPR 2022, with the
        parameters of the authors' ``RCDB_render.sh``; order of random numbers: their ``make_rcdb.py``.
    """
    check(seed=seed, category=category, instance=instance, pixels=pixels)
    check_mode(mode)
    if mode == "reference":
        if colour:
            raise ValueError("colour is True; it must be False in reference mode")
        _check_even(pixels)
        return PROGRAM.picture(seed=seed, category=category, instance=instance, pixels=pixels)
    return draw(
        drawing(seed=seed, category=category, instance=instance, pixels=pixels, colour=colour, scaled=scaled), pixels
    )


def drawing(
    *, seed: int, category: int, instance: int, pixels: int, colour: bool = False, scaled: bool = True
) -> Drawing:
    """What ``render`` draws in default mode."""
    key = class_key(seed, category)
    contours = contours_of(key)
    canvas = CANVAS if scaled else pixels
    view, inks = view_of(contours, key, instance, canvas=canvas, colour=colour)
    return Drawing(
        orbits=orbits_of(contours, view, scale=pixels / canvas),
        inks=inks,
        key=key,
        stream=instance,
        first=_VIEW_PAIRS + contours.polygons,
        background=_WHITE if colour else 255,
    )


def reference_pictures(
    source: random.Random, *, classes: Iterable[int], instances: int, pixels: int = CANVAS
) -> Iterator[tuple[int, int, NDArray[np.uint8]]]:
    """Draw what the authors' program draws: class, instance and picture, in its order.

    Args:
        source: Where all random numbers come from; the program's thread n has ``random.Random(n + 1)``. Between
            pictures it is where the program's is.
        classes: Numbers of the classes; the program's thread n of N has the n-th of N runs of equal length.
        instances: Pictures a class.
        pixels: Side of a picture, an even number.

    Raises:
        ValueError: If ``pixels`` is odd.
    """
    _check_even(pixels)
    return PROGRAM.run(source, classes=classes, instances=instances, pixels=pixels)


def _check_even(pixels: int) -> None:
    if pixels % 2:
        raise ValueError(f"pixels is {pixels}; it must be even in reference mode, whose greys go up to half of it")


def next_class(numbers: BulkRandom, pixels: int) -> tuple[Contours, View]:
    """Draw a class, and the view of its first picture, as the authors' program does."""
    vertices = 0
    while not _VERTICES_LEAST <= vertices <= _VERTICES_MOST:
        vertices = int(numbers.exponential(1 / _VERTICES_MEAN))
    polygons = numbers.integer(1, 200)
    contours = Contours(vertices=vertices, polygons=polygons, noise=numbers.real(0, 4), gap=numbers.real(0, 0.1))
    radius = numbers.integer(0, 100)
    oval_x, oval_y = numbers.real(1, 2), numbers.real(1, 2)
    centre_y, centre_x = _next_centre(numbers, pixels), _next_centre(numbers, pixels)
    return contours, View(radius=radius, oval_x=oval_x, oval_y=oval_y, centre_x=centre_x, centre_y=centre_y)


def next_view(numbers: BulkRandom, pixels: int) -> View:
    """Draw the view of another picture; only that of the first has its radius drawn before its factors."""
    oval_x, oval_y = numbers.real(1, 2), numbers.real(1, 2)
    radius = numbers.integer(0, 100)
    centre_y, centre_x = _next_centre(numbers, pixels), _next_centre(numbers, pixels)
    return View(radius=radius, oval_x=oval_x, oval_y=oval_y, centre_x=centre_x, centre_y=centre_y)


def _next_centre(numbers: BulkRandom, pixels: int) -> float:
    return (pixels + numbers.integer(-_SPREAD, _SPREAD)) / 2


def next_picture(numbers: BulkRandom, contours: Contours, view: View, pixels: int) -> NDArray[np.uint8]:
    """Draw a picture, as the authors' program does."""
    inks = np.empty(contours.polygons, dtype=np.uint8)
    places = np.empty((contours.polygons, 2 * contours.vertices), dtype=np.float32)
    for polygon in range(contours.polygons):
        # as Pillow takes levels beyond 255
        inks[polygon] = min(numbers.integer(0, pixels // 2), 255)
        places[polygon] = numbers.reals(2 * contours.vertices, high=NOISE_SPAN)
    picture = np.full((pixels, pixels), 255, dtype=np.uint8)
    orbits = orbits_of(contours, view, scale=1.0)
    draw_orbits_at(picture, orbits, inks, places.reshape(contours.polygons, 2, contours.vertices))
    return picture


#: The authors' program.
PROGRAM = Program(next_class=next_class, next_view=next_view, next_picture=next_picture)


def orbits_of(contours: Contours, view: View, *, scale: float) -> Orbits:
    """A class from a view, as it is drawn."""
    return Orbits(
        vertices=contours.vertices,
        noise=2 * contours.noise,
        drift=contours.noise,
        gap=contours.gap,
        radius=float(view.radius),
        waves_1=0,
        waves_2=0,
        oval_x=view.oval_x,
        oval_y=view.oval_y,
        start_x=0.0,
        start_y=0.0,
        shift_x=view.centre_x,
        shift_y=view.centre_y,
        scale=scale,
    )


@lru_cache(maxsize=KEPT_CLASSES)
def contours_of(key: Pair) -> Contours:
    """Draw the parameters of a class."""
    draws = [int(word) for word in words(key, stream=CLASS_STREAM, pairs=2).reshape(-1)]
    return Contours(
        vertices=_vertices(real(draws[0], 0.0, 1.0)),
        polygons=integer(draws[1], 1, 200),
        noise=real(draws[2], 0.0, 4.0),
        gap=real(draws[3], 0.0, 0.1),
    )


def _vertices(share: float) -> int:
    """The number that a share of the classes lies below: whole parts of an exponential distribution, cut off."""
    left = math.exp(-_VERTICES_LEAST / _VERTICES_MEAN)
    left -= share * (left - math.exp(-(_VERTICES_MOST + 1) / _VERTICES_MEAN))
    return min(max(int(-_VERTICES_MEAN * math.log(left)), _VERTICES_LEAST), _VERTICES_MOST)


# Pairs of words that draw a view; then comes one for each polygon's ink, and then the noise.
_VIEW_PAIRS = 3


def view_of(
    contours: Contours, key: Pair, instance: int, *, canvas: int = CANVAS, colour: bool = False
) -> tuple[View, Inks]:
    """Draw the view of one picture of a class, and an ink for each polygon."""
    draws = words(key, stream=instance, pairs=_VIEW_PAIRS + contours.polygons)
    (centre_x, centre_y), (radius, oval_x), (oval_y, _) = draws[:_VIEW_PAIRS].tolist()
    view = View(
        radius=integer(radius, 0, 100),
        oval_x=real(oval_x, 1.0, 2.0),
        oval_y=real(oval_y, 1.0, 2.0),
        centre_x=(canvas + integer(centre_x, -_SPREAD, _SPREAD)) / 2,
        centre_y=(canvas + integer(centre_y, -_SPREAD, _SPREAD)) / 2,
    )
    drawn = draws[_VIEW_PAIRS:, 0]
    return view, drawn >> np.uint32(8) if colour else _greys(drawn, canvas // 2)


@compiled
def _greys(drawn: NDArray[np.uint32], highest: int) -> NDArray[np.uint8]:
    """Levels from 0 to the highest, those beyond 255 cut off, as Pillow takes them."""
    greys = np.empty(len(drawn), dtype=np.uint8)
    for i in range(len(drawn)):
        greys[i] = min(np.uint64(drawn[i]) * np.uint64(highest + 1) >> np.uint64(32), np.uint64(255))
    return greys
