import math

import numpy as np
import pytest
from fujimi_data.families.keys import class_key
from fujimi_data.families.orbits import Orbits, colours_of, draw_orbits, draw_orbits_at
from fujimi_data.families.perlin import pnoise1 as our_pnoise1
from fujimi_data.families.polyline import Inks
from fujimi_data.threefry import words
from numpy.typing import NDArray
from PIL import Image, ImageDraw

try:  # a C compiler is needed to install it; without it ours, which has the same bits (test_perlin)
    from noise import pnoise1
except ImportError:

    def pnoise1(x: float) -> float:
        return float(our_pnoise1(np.float32(x)))


KEY = class_key(11, 3)
WAVES = Orbits(
    vertices=230,
    noise=1.7,
    drift=1.7,
    gap=0.06,
    radius=35.0,
    waves_1=5,
    waves_2=11,
    oval_x=1.2,
    oval_y=1.9,
    start_x=200.5,
    start_y=310.0,
    shift_x=0.0,
    shift_y=0.0,
    scale=1.0,
)
POLYGONS = Orbits(
    vertices=7,
    noise=6.2,
    drift=3.1,
    gap=0.03,
    radius=80.0,
    waves_1=0,
    waves_2=0,
    oval_x=1.7,
    oval_y=1.1,
    start_x=0.0,
    start_y=0.0,
    shift_x=431.5,
    shift_y=120.5,
    scale=1.0,
)
SHAPES = [WAVES, POLYGONS, WAVES._replace(scale=0.4375), POLYGONS._replace(scale=2.5)]


def slow_picture(orbits: Orbits, greys: list[int], places: NDArray[np.float64], pixels: int) -> NDArray[np.uint8]:
    """The definition, vertex by vertex, with the package noise and Pillow.

    Args:
        places: Of the noise, shape (orbits, 2, vertices).
    """
    image = Image.new("L", (pixels, pixels))
    drawing = ImageDraw.Draw(image)
    angles = [math.pi * 2 / orbits.vertices * v for v in range(orbits.vertices)]
    x = [math.cos(t) * orbits.radius * orbits.oval_x + orbits.start_x for t in angles]
    y = [math.sin(t) * orbits.radius * orbits.oval_y + orbits.start_y for t in angles]
    for grey, (places_x, places_y) in zip(greys, places, strict=True):
        for v, t in enumerate(angles):
            phi_x, phi_y = (
                pnoise1(place) * orbits.noise
                - orbits.drift
                - 0.5 * math.sin(t * orbits.waves_1)
                - 0.5 * math.sin(t * orbits.waves_2)
                for place in (places_x[v], places_y[v])
            )
            x[v] -= math.cos(t) * (phi_x - orbits.gap)
            y[v] -= math.sin(t) * (phi_y - orbits.gap)
        points = [
            ((x[v] + orbits.shift_x) * orbits.scale, (y[v] + orbits.shift_y) * orbits.scale)
            for v in range(orbits.vertices)
        ]
        for start, end in zip(points, [*points[1:], points[0]], strict=True):
            drawing.line([start, end], fill=grey, width=1)
    return np.asarray(image)


def drawn(orbits: Orbits, inks: Inks, pixels: int) -> Inks:
    picture = np.zeros((pixels, pixels), dtype=inks.dtype)
    draw_orbits(picture, orbits, inks, *KEY, np.uint32(5), np.uint32(9))
    return picture


def places_of(orbits: Orbits, count: int) -> NDArray[np.float64]:
    """Where ``drawn`` takes noise, shape (count, 2, vertices)."""
    pairs = words(KEY, stream=5, first=9, pairs=count * orbits.vertices)
    return 10_000 * (pairs / 2**32).reshape(count, orbits.vertices, 2).transpose(0, 2, 1)


@pytest.mark.parametrize("orbits", SHAPES)
def test_pictures_are_those_of_the_definition(orbits: Orbits) -> None:
    greys = [7 * i % 255 + 1 for i in range(40)]
    pixels = int(512 * orbits.scale)
    expected = slow_picture(orbits, greys, places_of(orbits, 40), pixels)
    assert np.array_equal(drawn(orbits, np.array(greys, dtype=np.uint8), pixels), expected)
    assert (expected > 0).mean() > 0.01


def test_given_the_places_of_the_noise_the_picture_is_the_same() -> None:
    inks = np.arange(1, 41, dtype=np.uint8)
    picture = np.zeros((512, 512), dtype=np.uint8)
    draw_orbits_at(picture, WAVES, inks, np.ascontiguousarray(places_of(WAVES, 40), dtype=np.float32))
    assert np.array_equal(picture, drawn(WAVES, inks, 512))


def test_in_colour_the_lines_are_the_same() -> None:
    inks = np.arange(1, 41, dtype=np.uint32) * 0x010305
    colours = colours_of(drawn(WAVES, inks, 512))
    expected = slow_picture(WAVES, list(range(1, 41)), places_of(WAVES, 40), 512)
    assert np.array_equal(colours, expected[:, :, None] * np.array([5, 3, 1], dtype=np.uint8))


def test_without_noise_and_waves_an_orbit_is_an_ellipse() -> None:
    orbits = WAVES._replace(
        vertices=720, noise=0.0, drift=0.0, gap=0.0, radius=50.0, waves_1=0, waves_2=0, oval_x=1.0, oval_y=2.0
    )._replace(start_x=256.0, start_y=256.0)

    rows, columns = np.nonzero(drawn(orbits, np.array([255], dtype=np.uint8), 512))

    distances = np.hypot(columns + 0.5 - 256, (rows + 0.5 - 256) / 2)
    assert np.abs(distances - 50).max() < 1.5
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (156, 356, 206, 306)


def test_a_smaller_picture_is_the_same_drawing() -> None:
    inks = np.full(40, 255, dtype=np.uint8)
    large, small = drawn(WAVES, inks, 512), drawn(WAVES._replace(scale=0.25), inks, 128)
    lit = large.reshape(128, 4, 128, 4).any(axis=(1, 3))
    # a line that is drawn between truncated ends may lie one pixel aside
    near = np.logical_or.reduce([np.roll(lit, shift, (0, 1)) for shift in np.ndindex(3, 3)])
    near = np.roll(near, (-1, -1), (0, 1))
    assert (near | (small == 0)).mean() > 0.999
    assert abs((small > 0).mean() - lit.mean()) < 0.05
