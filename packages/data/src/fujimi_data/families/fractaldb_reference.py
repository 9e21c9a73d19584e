"""FractalDB pixel for pixel as its authors draw it, from the random numbers that they draw."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.families.bulk_random import BulkRandom
from fujimi_data.families.ifs_orbit import System, choose, orbit_places
from fujimi_data.families.ifs_picture import picture_of
from fujimi_data.families.patches import MARGIN, MASK_BITS, grid_width, note

# What the authors give numpy.random.seed before each picture.
_ORBIT_SEED = 100
_MASKS = 2**MASK_BITS


def reference_drawing(
    system: System, *, masks: int, points: int, pixels: int, draw: str = "patch", colour: bool = False
) -> NDArray[np.uint8]:
    """Draw a system as the authors do.

    Args:
        system: Shape (maps, 7), weights included.
        masks: n of ``random.Random(n)``, whose ``randrange(1, 512)`` gives the patch of each point. The authors' own
            is not seeded. Maps are chosen by ``numpy.random.seed(100)``, as theirs are.
        points: 1 to 8,388,607.
        pixels: Side of the picture.
        draw: ``"patch"`` or ``"point"``.
        colour: Whether points have the 128 colours in turn.

    Returns:
        The picture; its first row is the lowest.

    Source:
        Repository FractalDB-Pretrained-ResNet-PyTorch, ``fractal_renderer/ifs_function.py``.
    """
    columns, rows = reference_places(system, points=points, pixels=pixels)
    patches = patch_masks(BulkRandom.of_python(masks), len(columns))
    return drawn(columns, rows, patches, pixels=pixels, draw=draw, colour=colour)


def reference_places(system: System, *, points: int, pixels: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Columns and rows of the points that the authors draw: see :func:`orbit_places`."""
    chosen = np.empty(points, dtype=np.uint8)
    choose(chosen, system, BulkRandom.of_numpy(_ORBIT_SEED))
    return orbit_places(system, chosen, pixels=pixels)


def drawn(
    columns: NDArray[np.int32],
    rows: NDArray[np.int32],
    masks: NDArray[np.uint32],
    *,
    pixels: int,
    draw: str,
    colour: bool,
) -> NDArray[np.uint8]:
    """Draw points one after the other.

    Args:
        columns: Of the points.
        rows: Of the points, counted from below.
        masks: Of the points, 0 to 511. The highest bit is the patch's lowest left pixel, the next the one
            to its right.
        pixels: Side of the picture.
        draw: ``"patch"`` or ``"point"``.
        colour: Whether points have the 128 colours in turn.
    """
    width = grid_width(pixels)
    grid = np.zeros((width, width), dtype=np.uint32)
    # the pixels after the point's in both directions are the patch's first
    turned = _TURNED[(rows + 1) % 3 * 3 + (columns + 1) % 3, masks]
    note(grid, (rows + MARGIN) * width + columns + MARGIN, turned, 1)
    return picture_of(grid, draw=draw, colour=colour)


def patch_masks(numbers: BulkRandom, count: int) -> NDArray[np.uint32]:
    """What ``randrange(1, 512)`` of Python's generator gives ``count`` times: 9 bits of a word, 511 passed over."""
    masks = np.empty(0, dtype=np.uint32)
    while len(masks) < count:
        more = numbers.words(count - len(masks)) >> np.uint32(32 - MASK_BITS)
        masks = np.append(masks, more[more < _MASKS - 1] + np.uint32(1))
    return masks


def _turned_masks() -> NDArray[np.uint32]:
    """Masks as a grid wants them, shape (9, 512): by row and column, modulo 3, of a patch's first pixel."""
    masks = np.arange(_MASKS, dtype=np.uint32)
    turned = np.zeros((9, _MASKS), dtype=np.uint32)
    for row, column, down, right in np.ndindex(3, 3, 3, 3):
        bit = masks >> np.uint32(8 - 3 * down - right) & np.uint32(1)
        turned[3 * row + column] |= bit << np.uint32(3 * ((row + down) % 3) + (column + right) % 3)
    return turned


_TURNED = _turned_masks()
