"""Orbits of two-dimensional iterated function systems, bit for bit those of FractalDB's authors."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled
from fujimi_data.families.bulk_random import BulkRandom
from fujimi_data.scratch import borrowed

#: Shape (maps, 7): a, b, c, d, e, f of ``x' = a x + b y + e``, ``y' = c x + d y + f``, and the map's probability.
System = NDArray[np.float64]

#: Pixels that a picture leaves free on each side.
PAD = 6
# Points before a NaN that are not drawn either.
_DROPPED = 100
_BLOCK = 2048

_Floats = NDArray[np.float64]
_Places = NDArray[np.int32]


def choose(chosen: NDArray[np.uint8], system: System, numbers: BulkRandom) -> None:
    """Choose the map of each step: the first whose cumulative probability is not below a uniform number.

    Rounding may leave none; the point then stays.

    Args:
        chosen: Written; the number of maps stands for none.
        system: What to choose from.
        numbers: Give a uniform number for each step.
    """
    _choose(chosen, np.cumsum(system[:, 6]), numbers.uniforms(len(chosen)))


def orbit_places(system: System, chosen: NDArray[np.uint8], *, pixels: int) -> tuple[_Places, _Places]:
    """Where the points lie that a sequence of maps sends the origin to.

    The origin is the first point; the last map is not used. If a coordinate is no number, the points from 100 before
    the first such one on are left out.

    Args:
        system: What to iterate.
        chosen: Map of each step, or the number of maps where the point stays.
        pixels: Side of a square picture that the points fill, but for :data:`PAD`.

    Returns:
        Column and row of each point, counted from below; this thread's until it borrows again.

    Source:
        H. Kataoka et al., "Pre-training without Natural Images", ACCV 2020, section 3; repository
        FractalDB-Pretrained-ResNet-PyTorch, ``fractal_renderer/ifs_function.py``.
    """
    points = len(chosen)
    xs, ys, columns, rows = borrowed((points, np.float64), (points, np.float64), (points, np.int32), (points, np.int32))
    kept = _iterate(xs, ys, system, chosen)
    _fill_places(columns[:kept], xs[:kept], pixels)
    _fill_places(rows[:kept], ys[:kept], pixels)
    return columns[:kept], rows[:kept]


@compiled
def _choose(chosen: NDArray[np.uint8], cumulative: _Floats, uniforms: _Floats) -> None:
    # in blocks that stay in the nearest cache
    for start in range(0, len(chosen), _BLOCK):
        block, drawn = chosen[start : start + _BLOCK], uniforms[start : start + _BLOCK]
        block[:] = 0
        for bound in cumulative:
            for i in range(len(block)):
                block[i] += np.uint8(drawn[i] > bound)


@compiled
def _iterate(xs: _Floats, ys: _Floats, system: System, chosen: NDArray[np.uint8]) -> int:
    """Write the points; returns how many are kept."""
    maps, points = len(system), len(xs)
    x = y = 0.0
    for i in range(points):
        xs[i], ys[i] = x, y
        if x != x or y != y:
            # the authors look for x that is no number, and at y only if there is none; x follows y by one step
            return max(i - _DROPPED + (x == x and i + 1 < points), 0)
        j = chosen[i]
        if j < maps:
            x, y = (
                x * system[j, 0] + y * system[j, 1] + system[j, 4],
                x * system[j, 2] + y * system[j, 3] + system[j, 5],
            )
    return points


@compiled
def _fill_places(places: _Places, values: _Floats, pixels: int) -> None:
    if len(values) == 0:
        return
    low = high = values[0]
    for i in range(len(values)):
        low = values[i] if values[i] < low else low
        high = values[i] if values[i] > high else high
    span, side, pad = high - low, float(pixels - 2 * PAD), float(PAD)
    for i in range(len(values)):
        place = (values[i] - low) / span * side + pad
        # numpy, too, makes 16 bits of what is no number to 0, on x86
        places[i] = np.int32(place) if place == place else np.int32(0)
