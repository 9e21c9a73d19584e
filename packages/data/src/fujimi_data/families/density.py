"""Pictures of how many points lie where, each as a pixel or as a stamp of 3 by 3."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled

#: Pixels around a picture in the grid of its counts: a stamp reaches so far.
MARGIN = 1
#: Stamp of a single pixel.
PIXEL = 1 << 4
#: What a picture may show of its counts.
LOOKS = ("binary", "density")
#: Least saturation and value of a colour.
LEAST_SATURATION, LEAST_VALUE = 0.3, 0.5
_GREY = 127
_HUES = 256

_Counts = NDArray[np.uint32]


@compiled
def count_points(counts: _Counts, places: NDArray[np.int32]) -> None:
    """Count points.

    Args:
        counts: Flat grid; added to.
        places: Cell of each point.
    """
    for place in places:
        counts[np.uint32(place)] += np.uint32(1)


@compiled
def stamped(counts: _Counts, stamp: int) -> _Counts:
    """How many stamps cover each pixel.

    Args:
        counts: Points at pixel (r, c) are at (r + 1, c + 1); what lies around is zero.
        stamp: 9 bits; bit ``3 i + j`` says that a point covers the pixel i - 1 rows below and j - 1 columns to the
            right of its own.

    Returns:
        Shape (pixels, pixels).
    """
    pixels = counts.shape[0] - 2 * MARGIN
    covered = np.zeros((pixels, pixels), dtype=np.uint32)
    for bit in range(9):
        if stamp >> bit & 1:
            down, right = 2 - bit // 3, 2 - bit % 3
            for row in range(pixels):
                _add(covered[row], counts[row + down, right : right + pixels])
    return covered


@compiled
def _add(sums: _Counts, counts: _Counts) -> None:
    for i in range(len(sums)):
        sums[i] += counts[i]


def shown(covered: _Counts, levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture of counts, given what to show for each: see :func:`levels_of`."""
    picture = np.empty(covered.shape + levels.shape[1:], dtype=np.uint8)
    if levels.ndim == 1:
        _show_greys(picture.reshape(-1), covered.reshape(-1), levels)
    else:
        _show_colours(picture.reshape(-1, 3), covered.reshape(-1), levels)
    return picture


@compiled
def _show_greys(picture: NDArray[np.uint8], covered: _Counts, levels: NDArray[np.uint8]) -> None:
    for i in range(len(picture)):
        picture[i] = levels[covered[i]]


@compiled
def _show_colours(picture: NDArray[np.uint8], covered: _Counts, levels: NDArray[np.uint8]) -> None:
    for i in range(len(picture)):
        for channel in range(3):
            picture[i, channel] = levels[covered[i], channel]


def levels_of(greatest: int, *, look: str, colour: bool, hue: float, saturation: int, value: int) -> NDArray[np.uint8]:
    """What to show for counts from 0 to the greatest, shape (greatest + 1,), or (greatest + 1, 3) in colour.

    Args:
        greatest: At least 0.
        look: ``"binary"``: the same for all but 0; ``"density"``: in proportion.
        colour: Whether to show hues; otherwise the binary grey is 127, and the greatest of densities 255.
        hue: See :func:`hue_levels`.
        saturation: See :func:`hue_levels`.
        value: See :func:`hue_levels`.
    """
    counts = np.arange(greatest + 1)
    shares = np.minimum(counts, 1.0) if look == "binary" else counts / max(greatest, 1)
    if colour:
        return hue_levels(shares, hue=hue, saturation=saturation, value=value)
    return (shares * (_GREY if look == "binary" else 255)).astype(np.uint8)


def hue_levels(shares: NDArray[np.float64], *, hue: float, saturation: int, value: int) -> NDArray[np.uint8]:
    """Hues in proportion to shares of the greatest count, shape (shares, 3); 0 is black.

    Args:
        shares: 0 to 1.
        hue: Of share 0, 0 to 255; 180 make a circle.
        saturation: 0 to 255.
        value: 0 to 255.

    Source:
        Repository fractal-pretraining, ``fractal_learning/fractals/ifs.py``, ``colorize``.
    """
    hues = (shares * 255 + hue).astype(np.int64) % _HUES
    levels = _rgb(hues, saturation, value)
    levels[shares == 0] = 0
    return levels


def _rgb(hues: NDArray[np.int64], saturation: int, value: int) -> NDArray[np.uint8]:
    """Colours as OpenCV makes them of 8 bits, on machines that multiply and add in one step."""
    single, double = np.float32, np.float64
    places = hues.astype(single) * single(6 / 180)
    places = np.where(places >= 6, places - single(6), places)
    sixths = np.floor(places)
    s, v = single(saturation) * single(1 / 255), single(value) * single(1 / 255)
    rest = places - sixths
    # products that are not rounded before they are subtracted
    falling = (1.0 - double(s) * rest.astype(double)).astype(single)
    rising = (1.0 - double(s) * (single(1) - rest).astype(double)).astype(single)
    tints = np.stack([np.full_like(rest, v), np.full_like(rest, v * (single(1) - s)), v * falling, v * rising])
    red_green_blue = _TINTS[sixths.astype(np.int64)]
    colours: NDArray[np.float32] = tints[red_green_blue.T, np.arange(len(hues))].T * single(255)
    return colours.astype(np.uint8)


# Of each sixth of the circle: which tint is red, green and blue; full, low, falling, rising.
_TINTS = np.array([[0, 3, 1], [2, 0, 1], [1, 0, 3], [1, 2, 0], [3, 1, 0], [0, 1, 2]])
