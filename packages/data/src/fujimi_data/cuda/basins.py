"""Basins of Newton's method on a GPU, a thread for each pixel."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import types
from numpy.typing import NDArray

from fujimi_data.cuda.device import cuda, for_device, kernel, launch
from fujimi_data.families.basins import _LIMIT, ROOTS, _reach, _step, padded
from fujimi_data.families.keys import class_key
from fujimi_data.families.newton import polynomial_of, view_of

_THREADS = 256
_step_point, _reached_root = for_device(_step), for_device(_reach)


def newton_fractals(
    *, seed: int, pictures: Sequence[tuple[int, int]], pixels: int, degree: int = 0, iterations: int = 48
) -> NDArray[np.uint8]:
    """Draw grey pictures of Newton fractals, given their classes and instances."""
    count = len(pictures)
    roots = np.empty((count, 2, ROOTS), dtype=np.float32)
    relaxations = np.empty(count, dtype=np.float32)
    views = np.empty((count, 3), dtype=np.complex128)
    levels = np.empty((count, ROOTS + 1, iterations + 1), dtype=np.uint8)
    for i, (category, instance) in enumerate(pictures):
        key = class_key(seed, category)
        polynomial = polynomial_of(key, degree)
        view, level = view_of(key, instance, iterations=iterations, colour=False)
        roots[i] = padded(polynomial.roots)
        relaxations[i] = polynomial.relaxation
        views[i] = view.middle, view.across, view.down
        levels[i] = level[:, :, 0]
    drawn = cuda.device_array((count, pixels * pixels), dtype=np.uint8)
    blocks = -(-count * pixels * pixels // _THREADS)
    launch(_draw_all, blocks, _THREADS, *map(cuda.to_device, (roots, relaxations, views, levels)), pixels, drawn)
    greys: NDArray[np.uint8] = drawn.copy_to_host()
    return greys.reshape(count, pixels, pixels)


@kernel
def _draw_all(roots: Any, relaxations: Any, views: Any, levels: Any, pixels: int, pictures: Any) -> None:
    thread = cuda.grid(1)
    number, place = thread // (pixels * pixels), thread % (pixels * pixels)
    if number >= len(pictures):
        return
    row, column = place // pixels, place % pixels
    x = cuda.local.array(1, types.float32)
    y = cuda.local.array(1, types.float32)
    near = cuda.local.array(1, types.float32)
    steps = cuda.local.array(1, types.int32)
    root = cuda.local.array(1, types.int32)
    middle, across, down = views[number, 0], views[number, 1], views[number, 2]
    start = middle + across * ((2 * column + 1) / pixels - 1) + down * ((2 * row + 1) / pixels - 1)
    x[0], y[0], steps[0] = start.real, start.imag, 0
    iterations = levels.shape[2] - 1
    for _ in range(iterations):
        _step_point(x, y, near, steps, 1, roots[number, 0], roots[number, 1], relaxations[number])
        if near[0] < _LIMIT:
            break
    _reached_root(x, y, 1, roots[number, 0], roots[number, 1], root)
    pictures[number, place] = levels[number, root[0], steps[0]]
