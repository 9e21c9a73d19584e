"""Orbits around points on a GPU: VisualAtom and RCDB, a block of threads for each picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from fujimi_data.cuda.device import cuda, for_device, kernel, launch
from fujimi_data.families import rcdb, visualatom
from fujimi_data.families.orbits import NOISE_SPAN, Drawing, _ring
from fujimi_data.families.perlin import pnoise1
from fujimi_data.families.polyline import _draw, _draw_clipped, _near, _outside
from fujimi_data.threefry import threefry

_THREADS = 256
_MOST_VERTICES = 1000
_WORDS = 2.0**32
_draw_segment, _draw_part = for_device(_draw), for_device(_draw_clipped)
_is_near, _is_outside = for_device(_near), for_device(_outside)
_random_words, _noise_at = for_device(threefry), for_device(pnoise1)


def draw(drawings: Sequence[Drawing], pixels: int) -> NDArray[np.uint8]:
    """Draw grey pictures, shape (pictures, pixels, pixels)."""
    count, most = len(drawings), max(len(drawing.inks) for drawing in drawings)
    rings = np.zeros((count, 6, _MOST_VERTICES))
    inks = np.zeros((count, most), dtype=np.uint8)
    shapes = np.empty((count, 6))
    numbers = np.empty((count, 7), dtype=np.uint32)
    for i, drawing in enumerate(drawings):
        orbits = drawing.orbits
        # sines are the processor's: those of a GPU are rounded otherwise
        rings[i, :, : orbits.vertices] = _ring(orbits)[:6]
        inks[i, : len(drawing.inks)] = drawing.inks
        shapes[i] = orbits.noise, orbits.drift, orbits.gap, orbits.shift_x, orbits.shift_y, orbits.scale
        numbers[i] = *drawing.key, drawing.stream, drawing.first, orbits.vertices, len(drawing.inks), drawing.background
    pictures = cuda.device_array((count, pixels * pixels), dtype=np.uint8)
    launch(_draw_all, count, _THREADS, *map(cuda.to_device, (rings, inks, shapes, numbers)), pixels, pictures)
    drawn: NDArray[np.uint8] = pictures.copy_to_host()
    return drawn.reshape(count, pixels, pixels)


def visualatoms(*, seed: int, pictures: Sequence[tuple[int, int]], pixels: int) -> NDArray[np.uint8]:
    """Draw pictures of VisualAtom, given their classes and instances."""
    return draw([visualatom.drawing(seed=seed, category=c, instance=i, pixels=pixels) for c, i in pictures], pixels)


def radial_contours(*, seed: int, pictures: Sequence[tuple[int, int]], pixels: int) -> NDArray[np.uint8]:
    """Draw pictures of RCDB, given their classes and instances."""
    return draw([rcdb.drawing(seed=seed, category=c, instance=i, pixels=pixels) for c, i in pictures], pixels)


@kernel
def _draw_all(rings: Any, inks: Any, shapes: Any, numbers: Any, pixels: int, pictures: Any) -> None:
    picture = pictures[cuda.blockIdx.x]
    ring, shape, number = rings[cuda.blockIdx.x], shapes[cuda.blockIdx.x], numbers[cuda.blockIdx.x]
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    columns = cuda.shared.array(_MOST_VERTICES, types.int32)
    rows = cuda.shared.array(_MOST_VERTICES, types.int32)
    vertices = int(number[4])
    for place in range(thread, pixels * pixels, threads):
        picture[place] = number[6]
    for orbit in range(int(number[5])):
        for v in range(thread, vertices, threads):
            counter = np.uint32(number[3] + np.uint32(orbit * vertices + v))
            word_x, word_y = _random_words(number[0], number[1], number[2], counter)
            noise_x = _noise_at(np.float32(word_x * (NOISE_SPAN / _WORDS)))
            noise_y = _noise_at(np.float32(word_y * (NOISE_SPAN / _WORDS)))
            ring[0, v] -= ring[2, v] * (noise_x * shape[0] - shape[1] - ring[4, v] - ring[5, v] - shape[2])
            ring[1, v] -= ring[3, v] * (noise_y * shape[0] - shape[1] - ring[4, v] - ring[5, v] - shape[2])
            columns[v] = np.int32((ring[0, v] + shape[3]) * shape[5])
            rows[v] = np.int32((ring[1, v] + shape[4]) * shape[5])
        cuda.syncthreads()
        ink = inks[cuda.blockIdx.x, orbit]
        for v in range(thread, vertices, threads):
            before = v - 1 if v else vertices - 1
            x0, y0, x1, y1 = np.int64(columns[before]), np.int64(rows[before]), np.int64(columns[v]), np.int64(rows[v])
            if not (_is_outside(x0, y0, pixels, pixels) or _is_outside(x1, y1, pixels, pixels)):
                _draw_segment(picture, pixels, x0, y0, x1, y1, ink)
            elif _is_near(x0, y0, x1, y1, pixels, pixels):
                _draw_part(picture, pixels, pixels, x0, y0, x1, y1, ink)
        cuda.syncthreads()
