import math

import numpy as np
import pytest
from fujimi_data.families.keys import class_key
from fujimi_data.families.perlin import pnoise1 as our_pnoise1
from fujimi_data.families.visualatom import Atom, View, atom_of, draw, view_of
from fujimi_data.threefry import words
from numpy.typing import NDArray
from PIL import Image, ImageDraw

try:  # a C compiler is needed to install it; without it ours, which has the same bits (test_perlin)
    from noise import pnoise1
except ImportError:

    def pnoise1(x: float) -> float:
        return float(our_pnoise1(np.float32(x)))


def slow_picture(atom: Atom, view: View, noise_places: NDArray[np.float64], pixels: int) -> NDArray[np.uint8]:
    """The definition, vertex by vertex, with the package noise and Pillow.

    Args:
        noise_places: Shape (orbits, vertices, 2).
    """
    image = Image.new("L", (pixels, pixels))
    drawing = ImageDraw.Draw(image)
    angles = [math.pi * 2 / atom.vertices * v for v in range(atom.vertices)]
    x = [math.cos(t) * atom.radius * atom.oval_x + view.centre_x for t in angles]
    y = [math.sin(t) * atom.radius * atom.oval_y + view.centre_y for t in angles]
    for grey, places in zip(view.greys, noise_places, strict=True):
        for v, t in enumerate(angles):
            phi_x, phi_y = (
                pnoise1(place) * atom.noise
                - atom.noise
                - 0.5 * math.sin(t * atom.waves_1)
                - 0.5 * math.sin(t * atom.waves_2)
                for place in places[v]
            )
            x[v] -= math.cos(t) * (phi_x - atom.gap)
            y[v] -= math.sin(t) * (phi_y - atom.gap)
        points = [(x[v] * pixels / 512, y[v] * pixels / 512) for v in range(atom.vertices)]
        for start, end in zip(points, [*points[1:], points[0]], strict=True):
            drawing.line([start, end], fill=grey, width=1)
    return np.asarray(image)


@pytest.mark.parametrize(("category", "instance", "pixels"), [(c, c % 3, 512) for c in range(8)] + [(2, 0, 224)])
def test_pictures_are_those_of_the_definition(category: int, instance: int, pixels: int) -> None:
    key = class_key(11, category)
    atom = atom_of(key)
    view = view_of(atom, key, instance)
    drawn = words(key, stream=instance, first=view.noise_first, pairs=atom.orbits * atom.vertices)
    places = 10_000 * (drawn / 2**32).reshape(atom.orbits, atom.vertices, 2)

    picture = draw(atom, view, key=key, instance=instance, pixels=pixels)

    assert np.array_equal(picture, slow_picture(atom, view, places, pixels))


def test_without_noise_and_waves_an_orbit_is_an_ellipse() -> None:
    atom = Atom(vertices=720, orbits=1, noise=0.0, gap=0.0, radius=50, waves_1=0, waves_2=0, oval_x=1.0, oval_y=2.0)
    view = View(centre_x=256.0, centre_y=256.0, greys=b"\xff")

    rows, columns = np.nonzero(draw(atom, view, key=class_key(0, 0), instance=0, pixels=512))

    distances = np.hypot(columns + 0.5 - 256, (rows + 0.5 - 256) / 2)
    assert np.abs(distances - 50).max() < 1.5
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (156, 356, 206, 306)


def test_a_smaller_picture_is_the_same_drawing() -> None:
    key = class_key(0, 2)
    atom = atom_of(key)
    view = view_of(atom, key, 0)
    large = draw(atom, view, key=key, instance=0, pixels=512)
    small = draw(atom, view, key=key, instance=0, pixels=128)
    lit = large.reshape(128, 4, 128, 4).any(axis=(1, 3))
    # a line that is drawn between truncated ends may lie one pixel aside
    near = np.logical_or.reduce([np.roll(lit, shift, (0, 1)) for shift in np.ndindex(3, 3)])
    near = np.roll(near, (-1, -1), (0, 1))
    assert (near | (small == 0)).mean() > 0.999
    assert abs((small > 0).mean() - lit.mean()) < 0.05
