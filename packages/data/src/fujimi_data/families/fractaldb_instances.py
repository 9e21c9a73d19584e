"""The pictures of a FractalDB category: 25 rows of weights, patterns of patches, four flips."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled
from fujimi_data.families.chaos_game import BLOCK, LARGEST, coefficients, place_all, play
from fujimi_data.families.fractaldb_search import PIXELS, POINTS, category_of, covers
from fujimi_data.families.ifs_orbit import PAD, System
from fujimi_data.families.keys import CLASS_STREAM, KEPT_CLASSES, real
from fujimi_data.scratch import borrowed
from fujimi_data.threefry import Pair, derived_key, words

#: Flips of a drawing: not, upside down, left to right, both.
FLIPS = 4
#: Patterns of patches for each row of weights.
PATTERNS = 10
#: Rows of weights.
ROWS = 25
_PARAMETERS = 6
#: The row that multiplies parameter a by the least weight, and the one that changes nothing.
FIRST_ROW, UNCHANGED_ROW = 0, 2

# Points of a proper picture lie on this part of the pixels that those of a category must lie on,
_LEAST_PART = 0.01
# and deviate along both axes by this part of its side at least.
_LEAST_DEVIATION = 32
_PIXELS_BITS = PIXELS.bit_length() - 1
# A picture's coordinates may be so many times larger than those of the points that its weight was judged by.
_ROOM = 1.5
#: How often a weight is drawn anew, before it is 1.
STAGES = 16
#: Sequence of a class's key that gives the key of its weights.
WEIGHTS_STREAM = CLASS_STREAM - 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """A system and how far its points may go.

    Args:
        system: The category with a weight.
        limit: Of the size of coordinates; what goes farther makes no proper picture.
    """

    system: System
    limit: float


@lru_cache(maxsize=64)
def weight_rows(weights: float) -> NDArray[np.float64]:
    """Factors of the parameters a to f, shape (25, 6), in the order of the authors' tables.

    For each parameter ``1 - 2 w``, ``1 - w``, ``1 + w`` and ``1 + 2 w``; the third row, all ones, is the category
    itself.

    >>> weight_rows(0.4)[:6, :2]
    array([[0.2, 1. ],
           [0.6, 1. ],
           [1. , 1. ],
           [1.4, 1. ],
           [1.8, 1. ],
           [1. , 0.2]])

    Args:
        weights: w, from 0 to 0.5; of 0.5, ``1 - 2 w`` is 0.01.

    Source:
        Repository FractalDB-Pretrained-ResNet-PyTorch, ``fractal_renderer/weights/weights_*.csv``.
    """
    # rounded, so that they are the numbers that the tables' decimals give
    values = [max(round(1.0 + step * weights, 9), 0.01) for step in (-2, -1, 1, 2)]
    rows = np.ones((ROWS, _PARAMETERS))
    others = [row for row in range(ROWS) if row != UNCHANGED_ROW]
    for place, row in enumerate(others):
        rows[row, place // len(values)] = values[place % len(values)]
    rows.flags.writeable = False
    return rows


def row_of(drawing: int, *, patterns: int) -> int:
    """Row of weights of a drawing: each has some patterns; after the last row comes the first again."""
    return drawing // patterns % ROWS


def weighted(system: System, factors: NDArray[np.float64]) -> System:
    """A system with other parameters and the same probabilities, as the authors have it."""
    changed = system.copy()
    changed[:, :_PARAMETERS] *= factors
    return changed


def factors(key: Pair, *, weights: float, row: int, stage: int) -> NDArray[np.float64]:
    """Factors of a row, when its weight was drawn anew some times.

    Each time, what it lies off 1 is multiplied by a uniform number below 1; the last time it is 1.

    Args:
        key: Of the class.
        weights: See :func:`weight_rows`.
        row: 0 to 24.
        stage: 0 to :data:`STAGES`.
    """
    given = weight_rows(weights)[row]
    if stage == STAGES:
        return np.ones(_PARAMETERS)
    draws = words(derived_key(key, WEIGHTS_STREAM), stream=row, pairs=STAGES)[:stage, 0]
    shrunk = np.prod([real(int(draw), 0.0, 1.0) for draw in draws])
    shrunk_row: NDArray[np.float64] = 1.0 + (given - 1.0) * shrunk
    return shrunk_row if stage else given


@lru_cache(maxsize=KEPT_CLASSES)
def proper_variant(key: Pair, *, fill_rate: float, weights: float, row: int, stage: int) -> Variant | None:
    """A category with the weight of a row, if its pictures are proper ones.

    100,000 points of the chaos game decide: their coordinates must be numbers, deviate along both axes by a standard
    deviation of a 32nd of the picture's side, and lie on a hundredth of the pixels that a category must fill.
    Otherwise maps send points ever farther away, and nearly all of a picture's points lie on a few of its pixels.

    Args:
        key: Of the class.
        fill_rate: Of the categories.
        weights: See :func:`weight_rows`.
        row: 0 to 24.
        stage: See :func:`factors`. The last is always proper.
    """
    system = weighted(category_of(key, fill_rate=fill_rate), factors(key, weights=weights, row=row, stage=stage))
    if stage == STAGES:
        return Variant(system=system, limit=LARGEST)
    played = -(-POINTS // BLOCK) * BLOCK
    xs, ys, drawn, places, picture = borrowed(
        (played, np.float32), (played, np.float32), (played, np.uint32), (POINTS, np.int32), (PIXELS**2, np.uint8)
    )
    stream = np.uint32(ROWS + row * STAGES + stage)
    play(xs, ys, drawn, *coefficients(system), *derived_key(key, WEIGHTS_STREAM), stream, True)
    if not (
        place_all(places, xs[:POINTS], ys[:POINTS], PIXELS)
        and _are_spread(places)
        and covers(picture, places, _LEAST_PART * fill_rate)
    ):
        return None
    return Variant(system=system, limit=_ROOM * float(max(np.abs(xs[:POINTS]).max(), np.abs(ys[:POINTS]).max())))


@compiled
def _are_spread(places: NDArray[np.int32]) -> bool:
    """Whether pixels deviate enough along both axes; in whole numbers, which round on no machine."""
    least = (PIXELS - 2 * PAD) // _LEAST_DEVIATION
    points = len(places)
    columns, columns_2, rows, rows_2 = 0, 0, 0, 0
    for place in places:
        row, column = int(place) >> _PIXELS_BITS, int(place) & (PIXELS - 1)
        columns += column
        columns_2 += column * column
        rows += row
        rows_2 += row * row
    variances = min(points * columns_2 - columns * columns, points * rows_2 - rows * rows)
    return variances >= (least * points) ** 2
