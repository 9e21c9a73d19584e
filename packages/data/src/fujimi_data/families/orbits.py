"""Draws orbits: closed waves that move outward from an ellipse, with noise."""

import math

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled
from fujimi_data.families.perlin import pnoise1
from fujimi_data.families.polyline import draw_closed_polyline
from fujimi_data.threefry import fill_words

#: Side of the picture that lengths are given for [pixels].
UNIT_PIXELS = 512
#: Noise is taken at places from 0 to this.
NOISE_SPAN = 10_000.0
_WORDS = 2.0**32

_Floats = NDArray[np.float64]


@compiled
def draw_orbits(
    pixels: int,
    vertices: int,
    noise: float,
    gap: float,
    radius: float,
    waves_1: int,
    waves_2: int,
    oval_x: float,
    oval_y: float,
    centre_x: float,
    centre_y: float,
    greys: NDArray[np.uint8],
    key_0: np.uint32,
    key_1: np.uint32,
    stream: np.uint32,
    first: np.uint32,
) -> NDArray[np.uint8]:
    """Draw one orbit for each grey, and move the vertices before each.

    At angle ``t``, an orbit moves a vertex outward along x by ``gap + noise (1 - P(u)) + sin(waves_1 t) / 2 +
    sin(waves_2 t) / 2``, with Perlin noise P at a random place u, and likewise along y at another u.

    Args:
        pixels: Side of the picture; lengths are given for one of 512, and scaled.
        vertices: Of each orbit.
        noise: Size of the noise.
        gap: Least distance between orbits.
        radius: Of the ellipse that is moved first.
        waves_1: Periods of the first wave around an orbit.
        waves_2: Periods of the second wave.
        oval_x: Factor of the radius along x.
        oval_y: Factor of the radius along y.
        centre_x: Of the ellipse.
        centre_y: Of the ellipse.
        greys: Of each orbit.
        key_0: First half of the key of the random words.
        key_1: Second half of the key.
        stream: Which sequence of the key.
        first: Pair of words for the first vertex of the first orbit: word 0 gives u along x, word 1 along y.
    """
    picture = np.zeros((pixels, pixels), dtype=np.uint8)
    cos, sin, wave_1, wave_2 = _around(vertices, waves_1, waves_2)
    x = cos * radius * oval_x + centre_x
    y = sin * radius * oval_y + centre_y
    words = np.empty((2, vertices), dtype=np.uint32)
    columns_rows = np.empty((2, vertices), dtype=np.int32)
    scale = pixels / UNIT_PIXELS
    for orbit in range(len(greys)):
        fill_words(words[0], words[1], key_0, key_1, stream, np.uint32(first + orbit * vertices))
        _move(x, words[0], cos, wave_1, wave_2, noise, gap)
        _move(y, words[1], sin, wave_1, wave_2, noise, gap)
        _truncate(x, scale, columns_rows[0])
        _truncate(y, scale, columns_rows[1])
        draw_closed_polyline(picture, columns_rows[0], columns_rows[1], greys[orbit])
    return picture


@compiled
def _around(vertices: int, waves_1: int, waves_2: int) -> tuple[_Floats, _Floats, _Floats, _Floats]:
    """Cosine, sine and both waves at the angle of each vertex."""
    cos, sin, wave_1, wave_2 = np.empty(vertices), np.empty(vertices), np.empty(vertices), np.empty(vertices)
    angle = math.pi * 2 / vertices
    for v in range(vertices):
        cos[v] = math.cos(angle * v)
        sin[v] = math.sin(angle * v)
        wave_1[v] = 0.5 * math.sin(angle * v * waves_1)
        wave_2[v] = 0.5 * math.sin(angle * v * waves_2)
    return cos, sin, wave_1, wave_2


@compiled
def _move(
    place: _Floats,
    words: NDArray[np.uint32],
    direction: _Floats,
    wave_1: _Floats,
    wave_2: _Floats,
    noise: float,
    gap: float,
) -> None:
    # the order of the arithmetic is the definition's: pictures are compared pixel by pixel
    for v in range(len(place)):
        p = pnoise1(np.float32(words[v] * (NOISE_SPAN / _WORDS)))
        place[v] -= direction[v] * (p * noise - noise - wave_1[v] - wave_2[v] - gap)


@compiled
def _truncate(place: _Floats, scale: float, pixel: NDArray[np.int32]) -> None:
    for v in range(len(place)):
        pixel[v] = np.int32(place[v] * scale)
