"""VisualAtom: pictures of orbits with two sine waves; the class sets their shape."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fujimi_data.families.keys import CLASS_STREAM, check, class_key, integer, real
from fujimi_data.families.orbits import draw_orbits
from fujimi_data.threefry import Pair, words


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
    """What sets a picture apart from others of its class, the noise aside.

    Args:
        centre_x: Column of the centre in a picture of 512, 0 to 512.
        centre_y: Row of the centre.
        greys: One byte for each orbit.
    """

    centre_x: float
    centre_y: float
    greys: bytes

    @property
    def noise_first(self) -> int:
        """Pair of random words, in the instance's sequence, from which the noise begins."""
        return 1 + len(self.greys)


def render(*, seed: int, category: int, instance: int, pixels: int) -> NDArray[np.uint8]:
    """Draw one picture.

    Args:
        seed: Of the data set, 0 to ``2**64 - 1``.
        category: Class, 0 to ``2**32 - 1``.
        instance: Picture of the class, 0 to ``2**32 - 2``.
        pixels: Side of the picture, 16 to 16,384. Other than 512, it is the same drawing in lines of one pixel.

    Raises:
        ValueError: If an argument is outside its range.

    Source:
        S. Takashima et al., "Visual Atoms: Pre-training Vision Transformers with Sinusoidal Waves", CVPR 2023, with the
        parameters of the authors' ``make_VisualAtom.sh``. Random numbers are ours: they depend on nothing but the
        arguments.
    """
    check(seed=seed, category=category, instance=instance, pixels=pixels)
    key = class_key(seed, category)
    atom = atom_of(key)
    return draw(atom, view_of(atom, key, instance), key=key, instance=instance, pixels=pixels)


def draw(atom: Atom, view: View, *, key: Pair, instance: int, pixels: int) -> NDArray[np.uint8]:
    """Draw a class from a view; the noise comes from the sequence ``instance`` of the key."""
    return draw_orbits(
        pixels,
        atom.vertices,
        atom.noise,
        atom.gap,
        atom.radius,
        atom.waves_1,
        atom.waves_2,
        atom.oval_x,
        atom.oval_y,
        view.centre_x,
        view.centre_y,
        np.frombuffer(view.greys, dtype=np.uint8),
        *key,
        np.uint32(instance),
        np.uint32(view.noise_first),
    )


@lru_cache(maxsize=4096)
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


def view_of(atom: Atom, key: Pair, instance: int) -> View:
    """Draw centre and greys of one picture of a class."""
    draws = words(key, stream=instance, pairs=1 + atom.orbits)
    centre_x, centre_y = (integer(int(word), 0, 1024) / 2 for word in draws[0])
    greys = (draws[1:, 0] >> np.uint32(24)).astype(np.uint8)
    return View(centre_x=centre_x, centre_y=centre_y, greys=greys.tobytes())
