"""VisualAtom: pictures of orbits with two sine waves; the class sets their shape."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fujimi_data.families.bulk_random import BulkRandom
from fujimi_data.families.keys import CLASS_STREAM, KEPT_CLASSES, check, check_mode, class_key, integer, real
from fujimi_data.families.orbits import NOISE_SPAN, Drawing, Orbits, draw, draw_orbits_at
from fujimi_data.families.polyline import Inks
from fujimi_data.families.program import Program
from fujimi_data.threefry import Pair, words

#: Side of the picture that lengths are given for [pixels].
CANVAS = 512
# Centres are anywhere in a picture of this side.
_SPREAD = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Atom:
    """What all pictures of a class have in common; lengths in pixels of a picture of 512.

    Args:
        vertices: Of each orbit, 200 to 1000.
        orbits: 1 to 200.
        noise: Size of the noise, 0 to 4.
        gap: Least distance between orbits, 0 to 0.1.
        radius: Of the ellipse that orbits start from, 10 to 60.
        waves_1: Periods of the first wave around an orbit, 0 to 20.
        waves_2: Periods of the second wave, 0 to 20; another number, or 0 twice.
        oval_x: Factor of the radius along x, 1 to 2.
        oval_y: Factor of the radius along y, 1 to 2.
    """

    vertices: int
    orbits: int
    noise: float
    gap: float
    radius: int
    waves_1: int
    waves_2: int
    oval_x: float
    oval_y: float


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Centre of a picture [pixels of its canvas]."""

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
        pixels: Side of the picture, 16 to 16,384.
        mode: ``default``: random numbers are ours, and depend on nothing but the arguments. ``reference``: the authors'
            program, pixel by pixel, with its random numbers from ``program.reference_source``: those of the class give
            its parameters and the centre of instance 0, those of the instance its orbits, and the centre before them if
            it is another; ``reference_pictures`` gives all pictures of a run of the program.
        colour: Draw each orbit in red, green and blue of its own; the authors have greys only, and so has the reference
            mode.
        scaled: Draw the picture of 512 at other sizes, in lines of one pixel. Otherwise, and always in reference mode,
            as the authors' program does: atoms stay as large and a centre is up to 256 pixels from the middle whatever
            the size.

    Raises:
        ValueError: If an argument is outside its range, or none of those named.

    Source:
        S. Takashima et al., "Visual Atoms: Pre-training Vision Transformers with Sinusoidal Waves", CVPR 2023, with the
        parameters of the authors' ``make_VisualAtom.sh``; order of random numbers: their ``render_VisualAtom.py``.
    """
    check(seed=seed, category=category, instance=instance, pixels=pixels)
    check_mode(mode)
    if mode == "reference":
        if colour:
            raise ValueError("colour is True; it must be False in reference mode")
        return PROGRAM.picture(seed=seed, category=category, instance=instance, pixels=pixels)
    return draw(
        drawing(seed=seed, category=category, instance=instance, pixels=pixels, colour=colour, scaled=scaled), pixels
    )


def drawing(
    *, seed: int, category: int, instance: int, pixels: int, colour: bool = False, scaled: bool = True
) -> Drawing:
    """What ``render`` draws in default mode."""
    key = class_key(seed, category)
    atom = atom_of(key)
    canvas = CANVAS if scaled else pixels
    view, inks = view_of(atom, key, instance, canvas=canvas, colour=colour)
    return Drawing(
        orbits=orbits_of(atom, view, scale=pixels / canvas),
        inks=inks,
        key=key,
        stream=instance,
        first=1 + atom.orbits,
        background=0,
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
        pixels: Side of a picture.
    """
    return PROGRAM.run(source, classes=classes, instances=instances, pixels=pixels)


def next_class(numbers: BulkRandom, pixels: int) -> tuple[Atom, View]:
    """Draw a class, and the view of its first picture, as the authors' program does."""
    vertices, orbits = numbers.integer(200, 1000), numbers.integer(1, 200)
    noise, gap = numbers.real(0, 4), numbers.real(0, 0.1)
    radius, waves_1 = numbers.integer(10, 60), numbers.integer(0, 20)
    waves_2 = numbers.integer(0, 20)
    while waves_2 == waves_1 != 0:
        waves_2 = numbers.integer(0, 20)
    atom = Atom(
        vertices=vertices,
        orbits=orbits,
        noise=noise,
        gap=gap,
        radius=radius,
        waves_1=waves_1,
        waves_2=waves_2,
        oval_x=numbers.real(1, 2),
        oval_y=numbers.real(1, 2),
    )
    return atom, next_view(numbers, pixels)


def next_view(numbers: BulkRandom, pixels: int) -> View:
    """Draw the view of a picture, as the authors' program does."""
    centre_y, centre_x = ((pixels + numbers.integer(-_SPREAD, _SPREAD)) / 2 for _ in range(2))
    return View(centre_x=centre_x, centre_y=centre_y)


def next_picture(numbers: BulkRandom, atom: Atom, view: View, pixels: int) -> NDArray[np.uint8]:
    """Draw a picture, as the authors' program does."""
    inks = np.empty(atom.orbits, dtype=np.uint8)
    places = np.empty((atom.orbits, 2 * atom.vertices), dtype=np.float32)
    for orbit in range(atom.orbits):
        inks[orbit] = numbers.integer(0, 255)
        places[orbit] = numbers.reals(2 * atom.vertices, high=NOISE_SPAN)
    picture = np.zeros((pixels, pixels), dtype=np.uint8)
    draw_orbits_at(picture, orbits_of(atom, view, scale=1.0), inks, places.reshape(atom.orbits, 2, atom.vertices))
    return picture


#: The authors' program.
PROGRAM = Program(next_class=next_class, next_view=next_view, next_picture=next_picture)


def orbits_of(atom: Atom, view: View, *, scale: float) -> Orbits:
    """A class from a view, as it is drawn."""
    return Orbits(
        vertices=atom.vertices,
        noise=atom.noise,
        drift=atom.noise,
        gap=atom.gap,
        radius=float(atom.radius),
        waves_1=atom.waves_1,
        waves_2=atom.waves_2,
        oval_x=atom.oval_x,
        oval_y=atom.oval_y,
        start_x=view.centre_x,
        start_y=view.centre_y,
        shift_x=0.0,
        shift_y=0.0,
        scale=scale,
    )


@lru_cache(maxsize=KEPT_CLASSES)
def atom_of(key: Pair) -> Atom:
    """Draw the parameters of a class."""
    draws = [int(word) for word in words(key, stream=CLASS_STREAM, pairs=5).reshape(-1)]
    waves_1 = integer(draws[5], 0, 20)
    # uniform over the numbers that are not waves_1, without drawing again
    waves_2 = integer(draws[6], 0, 19 if waves_1 else 20)
    if waves_1 and waves_2 >= waves_1:
        waves_2 += 1
    return Atom(
        vertices=integer(draws[0], 200, 1000),
        orbits=integer(draws[1], 1, 200),
        noise=real(draws[2], 0.0, 4.0),
        gap=real(draws[3], 0.0, 0.1),
        radius=integer(draws[4], 10, 60),
        waves_1=waves_1,
        waves_2=waves_2,
        oval_x=real(draws[7], 1.0, 2.0),
        oval_y=real(draws[8], 1.0, 2.0),
    )


def view_of(atom: Atom, key: Pair, instance: int, *, canvas: int = CANVAS, colour: bool = False) -> tuple[View, Inks]:
    """Draw the centre of one picture of a class, and an ink for each orbit."""
    draws = words(key, stream=instance, pairs=1 + atom.orbits)
    centre_x, centre_y = ((canvas + integer(word, -_SPREAD, _SPREAD)) / 2 for word in draws[0].tolist())
    view = View(centre_x=centre_x, centre_y=centre_y)
    inks = draws[1:, 0] >> np.uint32(8) if colour else (draws[1:, 0] >> np.uint32(24)).astype(np.uint8)
    return view, inks
