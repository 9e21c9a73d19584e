"""Pictures of iterated function systems, from the grid of points that came last to grey or colour."""

import math

import numpy as np
from fujimi_core.errors import unknown
from numpy.typing import NDArray

from fujimi_data.compiled import compiled
from fujimi_data.families.chaos_game import BLOCK, LARGEST, coefficients, fill_places, frame, play
from fujimi_data.families.ifs_orbit import PAD, System
from fujimi_data.families.patches import (
    MARGIN,
    MOST_POINTS,
    grey_patches,
    grid_width,
    note,
    patch_numbers,
    point_numbers,
)
from fujimi_data.scratch import borrowed
from fujimi_data.threefry import Pair

#: Grey of what is drawn.
GREY = 127
_COLOURS = 128

_Grid = NDArray[np.uint32]
_Picture = NDArray[np.uint8]


def check_drawing(*, draw: str, points: int) -> None:
    """Check how a picture is to be drawn.

    Raises:
        ValueError: If there is no such way, or the number of points is out of range.
    """
    if draw not in ("patch", "point"):
        raise ValueError(unknown("way to draw", draw, ("patch", "point")))
    if not 1 <= points <= MOST_POINTS:
        raise ValueError(f"points is {points}; it must be from 1 to {MOST_POINTS}")


def played_grid(
    system: System, *, key: Pair, stream: int, points: int, pixels: int, limit: float = LARGEST
) -> _Grid | None:
    """Play the chaos game and note which points came last; None if a coordinate is beyond the limit.

    The points fill the picture but for :data:`PAD`. The lowest 9 bits of the word that chose a point's next map are its
    mask; if they are zero, the next 9.

    Args:
        system: At most 8 maps.
        key: Of the random words.
        stream: Which sequence of the key.
        points: 1 to :data:`MOST_POINTS`.
        pixels: Side of the picture.
        limit: Of the size of coordinates, at most that of :func:`frame`.

    Returns:
        See :func:`note`; this thread's until it borrows again.
    """
    played, width = -(-points // BLOCK) * BLOCK, grid_width(pixels)
    xs, ys, words, cells = borrowed(
        (played, np.float32), (played, np.float32), (played, np.uint32), (width * width, np.uint32)
    )
    grid = cells.reshape(width, width)
    play(xs, ys, words, *coefficients(system), *key, np.uint32(stream), True)
    return grid if _noted(grid, xs[:points], ys[:points], words[:points], np.float32(limit)) else None


@compiled
def _noted(
    grid: _Grid, xs: NDArray[np.float32], ys: NDArray[np.float32], words: NDArray[np.uint32], limit: np.float32
) -> bool:
    width = grid.shape[1]
    within, low_x, low_y, scale_x, scale_y = frame(xs, ys, width - MARGIN - 2 * PAD, limit)
    if not within:
        return False
    places, masks = np.empty(BLOCK, dtype=np.int32), np.empty(BLOCK, dtype=np.uint32)
    grid[:] = 0
    for start in range(0, len(xs), BLOCK):
        end = min(start + BLOCK, len(xs))
        block = places[: end - start]
        fill_places(block, xs[start:end], ys[start:end], low_x, low_y, scale_x, scale_y, PAD + MARGIN, width)
        _fill_masks(masks[: end - start], words[start:end])
        note(grid, block, masks, start + 1)
    return True


@compiled
def _fill_masks(masks: NDArray[np.uint32], words: NDArray[np.uint32]) -> None:
    for i in range(len(masks)):
        mask, other = np.uint32(words[i] & np.uint32(511)), np.uint32((words[i] >> np.uint32(9)) & np.uint32(511))
        masks[i] = mask if mask else max(other, np.uint32(1))


def picture_of(grid: _Grid, *, draw: str, colour: bool) -> _Picture:
    """Show a grid of points: each as a pixel, or as a patch of 3 by 3.

    Args:
        grid: See :func:`note`.
        draw: ``"patch"`` or ``"point"``.
        colour: Whether points have the 128 colours in turn, in shape (pixels, pixels, 3), rather than one grey.

    Returns:
        The picture; its first row is the lowest.
    """
    pixels = grid.shape[1] - MARGIN
    if draw == "patch" and not colour:
        return grey_patches(grid, pixels, GREY)
    numbers = patch_numbers(grid, pixels) if draw == "patch" else point_numbers(grid, pixels)
    if not colour:
        return np.where(numbers, np.uint8(GREY), np.uint8(0))
    return PALETTE[np.where(numbers, (numbers - 1) % _COLOURS, _COLOURS)]


def flipped(picture: _Picture, flip: int) -> _Picture:
    """Turn a picture whose first row is the lowest upright and flip it.

    Args:
        picture: Of any number of channels.
        flip: 0 not, 1 upside down, 2 left to right, 3 both.
    """
    rows, columns = (1 if flip % 2 else -1), (-1 if flip >= 2 else 1)
    return picture[::rows, ::columns].copy()


def _palette() -> _Picture:
    """The authors' 128 colours around the circle of hues, and black.

    Source:
        Repository FractalDB-Pretrained-ResNet-PyTorch, ``fractal_renderer/ifs_function.py``, ``convert_color``:
        saturation and intensity are 0.75; its order of channels, said to be BGR, is stored as RGB.
    """
    saturation = intensity = 0.75
    colours = np.zeros((_COLOURS + 1, 3), dtype=np.uint8)
    for i in range(_COLOURS):
        place = 3.0 / math.pi * (2.0 * math.pi * (i / _COLOURS))
        sixth = math.floor(place)
        falling = intensity * (1.0 - saturation * (place - sixth))
        rising = intensity * (1.0 - saturation * (1.0 - place + sixth))
        low, most, down, up = (
            int(level * 255.0) for level in (intensity * (1.0 - saturation), intensity, falling, rising)
        )
        colours[i] = (
            (low, up, most),
            (low, most, down),
            (up, most, low),
            (most, down, low),
            (most, low, up),
            (down, low, most),
        )[sixth]
    return colours


#: Colours of points 0 to 127, then of what is dark.
PALETTE = _palette()
