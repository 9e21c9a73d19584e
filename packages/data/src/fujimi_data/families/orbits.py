"""Draws orbits: closed waves that move outward from an ellipse, with noise."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled
from fujimi_data.families.perlin import pnoise1
from fujimi_data.families.polyline import Inks, draw_closed_polyline
from fujimi_data.threefry import Pair, fill_words

#: Noise is taken at places from 0 to this.
NOISE_SPAN = 10_000.0
_WORDS = 2.0**32

_Floats = NDArray[np.float64]


class Orbits(NamedTuple):
    """Orbits of a picture; lengths in pixels of its canvas, before they are scaled.

    Args:
        vertices: Of each orbit.
        noise: Size of the noise.
        drift: What the noise is lessened by.
        gap: Least distance between orbits.
        radius: Of the ellipse that is moved first.
        waves_1: Periods of the first wave around an orbit.
        waves_2: Periods of the second wave.
        oval_x: Factor of the radius along x.
        oval_y: Factor of the radius along y.
        start_x: Centre of the ellipse.
        start_y: Centre of the ellipse.
        shift_x: Added to a vertex when it is drawn.
        shift_y: Added to a vertex when it is drawn.
        scale: Pixels of the picture for one of the canvas.
    """

    vertices: int
    noise: float
    drift: float
    gap: float
    radius: float
    waves_1: int
    waves_2: int
    oval_x: float
    oval_y: float
    start_x: float
    start_y: float
    shift_x: float
    shift_y: float
    scale: float


class Drawing(NamedTuple):
    """A picture of orbits that is to be drawn.

    Args:
        orbits: Their shape.
        inks: Of each orbit: greys of 8 bits, or colours of 32.
        key: Of the random words.
        stream: Which sequence of the key.
        first: Pair of words for the first vertex of the first orbit.
        background: Ink of what is not drawn.
    """

    orbits: Orbits
    inks: Inks
    key: Pair
    stream: int
    first: int
    background: int


class _Ring(NamedTuple):
    """What the vertices have, each array of shape (vertices,)."""

    x: _Floats
    y: _Floats
    cos: _Floats
    sin: _Floats
    wave_1: _Floats
    wave_2: _Floats
    column: NDArray[np.int32]
    row: NDArray[np.int32]


def draw(drawing: Drawing, pixels: int) -> NDArray[np.uint8]:
    """Draw a picture, shape (pixels, pixels), or (pixels, pixels, 3) if the inks are colours."""
    picture = np.full((pixels, pixels), drawing.background, dtype=drawing.inks.dtype)
    stream, first = np.uint32(drawing.stream), np.uint32(drawing.first)
    draw_orbits(picture, drawing.orbits, drawing.inks, *drawing.key, stream, first)
    return picture if picture.dtype == np.uint8 else colours_of(picture)


@compiled
def draw_orbits(
    picture: Inks, orbits: Orbits, inks: Inks, key_0: np.uint32, key_1: np.uint32, stream: np.uint32, first: np.uint32
) -> None:
    """Draw one orbit for each ink, and move the vertices before each.

    At angle ``t``, an orbit moves a vertex outward along x by ``gap + drift - noise P(u) + sin(waves_1 t) / 2 +
    sin(waves_2 t) / 2``, with Perlin noise P at a random place u, and likewise along y at another u.

    Args:
        picture: Square, of the type of the inks; drawn into.
        orbits: Their shape.
        inks: Of each orbit.
        key_0: First half of the key of the random words.
        key_1: Second half of the key.
        stream: Which sequence of the key.
        first: Pair of words for the first vertex of the first orbit: word 0 gives u along x, word 1 along y.
    """
    ring = _ring(orbits)
    # whole vectors: a few words more than are needed cost less than to stop in between
    count = orbits.vertices + 15 & ~15
    words = np.empty((2, count), dtype=np.uint32)
    noise = np.empty((2, count), dtype=np.float32)
    for orbit in range(len(inks)):
        fill_words(words[0], words[1], key_0, key_1, stream, np.uint32(first + orbit * orbits.vertices))
        for axis in range(2):
            for v in range(count):
                noise[axis, v] = np.float32(words[axis, v] * (NOISE_SPAN / _WORDS))
            _take_noise(noise[axis], noise[axis])
        _draw_orbit(picture, orbits, ring, noise, inks[orbit])


@compiled
def draw_orbits_at(picture: Inks, orbits: Orbits, inks: Inks, places: NDArray[np.float32]) -> None:
    """Draw orbits as ``draw_orbits`` does, with noise at given places of shape (orbits, 2, vertices)."""
    ring = _ring(orbits)
    noise = np.empty((2, orbits.vertices), dtype=np.float32)
    for orbit in range(len(inks)):
        for axis in range(2):
            _take_noise(places[orbit, axis], noise[axis])
        _draw_orbit(picture, orbits, ring, noise, inks[orbit])


@compiled
def _ring(orbits: Orbits) -> _Ring:
    """Vertices of the ellipse."""
    vertices = orbits.vertices
    cos, sin, wave_1, wave_2 = np.empty(vertices), np.empty(vertices), np.empty(vertices), np.empty(vertices)
    angle = math.pi * 2 / vertices
    for v in range(vertices):
        cos[v] = math.cos(angle * v)
        sin[v] = math.sin(angle * v)
        wave_1[v] = 0.5 * math.sin(angle * v * orbits.waves_1)
        wave_2[v] = 0.5 * math.sin(angle * v * orbits.waves_2)
    x = cos * orbits.radius * orbits.oval_x + orbits.start_x
    y = sin * orbits.radius * orbits.oval_y + orbits.start_y
    pixels = np.empty((2, vertices), dtype=np.int32)
    return _Ring(x, y, cos, sin, wave_1, wave_2, pixels[0], pixels[1])


@compiled
def _take_noise(places: NDArray[np.float32], noise: NDArray[np.float32]) -> None:
    for v in range(len(places)):
        noise[v] = pnoise1(places[v])


@compiled
def _draw_orbit(picture: Inks, orbits: Orbits, ring: _Ring, noise: NDArray[np.float32], ink: int) -> None:
    _move(ring.x, ring.cos, ring.wave_1, ring.wave_2, noise[0], orbits.noise, orbits.drift, orbits.gap)
    _move(ring.y, ring.sin, ring.wave_1, ring.wave_2, noise[1], orbits.noise, orbits.drift, orbits.gap)
    _truncate(ring.x, orbits.shift_x, orbits.scale, ring.column)
    _truncate(ring.y, orbits.shift_y, orbits.scale, ring.row)
    draw_closed_polyline(picture, ring.column, ring.row, ink)


@compiled
def _move(
    position: _Floats,
    direction: _Floats,
    wave_1: _Floats,
    wave_2: _Floats,
    noise: NDArray[np.float32],
    size: float,
    drift: float,
    gap: float,
) -> None:
    # the order of the arithmetic is the definition's: pictures are compared pixel by pixel
    for v in range(len(position)):
        position[v] -= direction[v] * (noise[v] * size - drift - wave_1[v] - wave_2[v] - gap)


@compiled
def _truncate(position: _Floats, shift: float, scale: float, pixel: NDArray[np.int32]) -> None:
    for v in range(len(position)):
        pixel[v] = np.int32((position[v] + shift) * scale)


@compiled
def colours_of(picture: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Red, green and blue of a picture in inks of 32 bits, shape (rows, columns, 3)."""
    rows, columns = picture.shape
    colours = np.empty((rows, columns, 3), dtype=np.uint8)
    for row in range(rows):
        for column in range(columns):
            ink = picture[row, column]
            colours[row, column, 0] = ink & np.uint32(255)
            colours[row, column, 1] = ink >> np.uint32(8) & np.uint32(255)
            colours[row, column, 2] = ink >> np.uint32(16) & np.uint32(255)
    return colours
