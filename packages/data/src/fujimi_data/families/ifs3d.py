"""Iterated function systems in space: orbits as clouds of points, and how a camera sees them."""

import math

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled
from fujimi_data.threefry import fill_words

#: Orbits that a cloud consists of. A point waits for the one before it: of several, a core works on all.
ORBITS = 8
#: Systems whose orbits go further from the origin along an axis diverge.
BOUND = 1e6
#: Of the camera from the origin.
DISTANCE = 4.0
#: Least depth that is seen.
NEAR = 1.0
#: Of the field of view.
ANGLE = math.radians(45)
#: Depths [1 / _DEPTHS] are counted in 29 bits; clouds reach no further than 8.
_DEPTHS = 2.0**25
_NOTHING = np.uint32(0xFFFFFFFF)
# Depths at which points have their whole colour, or would have none.
_BRIGHTEST, _DARKEST = 3.0, 6.0
_LEAST_LIGHT = 0.25

_Floats = NDArray[np.float32]
_Camera = tuple[
    np.float32, np.float32, np.float32, np.float32, np.float32, np.float32, np.float32, np.float32, np.float32
]


@compiled
def probabilities(maps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability of each of the maps of shape (count, 12): by the size of the determinant of its first nine."""
    sizes = np.empty(len(maps))
    for m in range(len(maps)):
        a, b, c, d, e, f, g, h, i = maps[m, :9]
        sizes[m] = abs(a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g))
    shares: NDArray[np.float64] = sizes / sizes.sum()
    return shares


@compiled
def fill_cloud(
    maps: _Floats,
    limits: NDArray[np.uint32],
    key_0: np.uint32,
    key_1: np.uint32,
    stream: np.uint32,
    first: np.uint32,
    points: _Floats,
    chosen: NDArray[np.uint8],
) -> None:
    """Write eight orbits from the origin, which take turns.

    Point i of an array is the image of point ``i - 8``, or of the origin, under a random map. Words 0 choose the maps
    of the first half of the points, words 1 those of the second.

    Args:
        maps: Shape (count, 12): rows of the matrix, then the translation.
        limits: Smallest word that chooses a later map, for all maps but the last.
        key_0: First half of the key of the random words.
        key_1: Second half of the key.
        stream: Which sequence of the key.
        first: Pair of words from which the points begin.
        points: Shape (3, an even number), written.
        chosen: Map of each point, written.
    """
    count = len(chosen)
    words = np.empty((2, count // 2), dtype=np.uint32)
    fill_words(words[0], words[1], key_0, key_1, stream, first)
    _choose(words.reshape(-1), limits, chosen)
    x, y, z = points[0], points[1], points[2]
    for i in range(ORBITS):
        m = maps[chosen[i]]
        x[i], y[i], z[i] = m[9], m[10], m[11]
    for i in range(count - ORBITS):
        m = maps[np.uint32(chosen[i + ORBITS])]
        old_x, old_y, old_z = x[i], y[i], z[i]
        x[i + ORBITS] = m[0] * old_x + m[1] * old_y + m[2] * old_z + m[9]
        y[i + ORBITS] = m[3] * old_x + m[4] * old_y + m[5] * old_z + m[10]
        z[i + ORBITS] = m[6] * old_x + m[7] * old_y + m[8] * old_z + m[11]


@compiled
def _choose(words: NDArray[np.uint32], limits: NDArray[np.uint32], chosen: NDArray[np.uint8]) -> None:
    chosen[:] = 0
    for limit in limits:
        for i in range(len(words)):
            chosen[i] += np.uint8(words[i] >= limit)


@compiled
def normalise(points: _Floats) -> float:
    """Scale a cloud so that its coordinates span 2, move its mean to the origin, and give its least variance.

    Args:
        points: Shape (3, count), changed.

    Returns:
        Least variance along an axis, after scaling; 0 of a cloud that diverges. One that overflows has no points then.
    """
    count = points.shape[1]
    x, y, z = points[0], points[1], points[2]
    sum_x = sum_y = sum_z = square_x = square_y = square_z = 0.0
    low = high = x[0]
    # three at a time: each sum waits for its last addition
    for i in range(count):
        a, b, c = np.float64(x[i]), np.float64(y[i]), np.float64(z[i])
        sum_x, sum_y, sum_z = sum_x + a, sum_y + b, sum_z + c
        square_x, square_y, square_z = square_x + a * a, square_y + b * b, square_z + c * c
    for axis in range(3):
        for value in points[axis]:
            low = value if value < low else low
            high = value if value > high else high
    # a sum with what is not a number is none; comparisons with it, as for the lowest and the highest, are false
    if not abs(sum_x + sum_y + sum_z) < np.inf:
        points[:] = np.nan
        return 0.0
    if low == high:
        return 0.0
    scale = 2.0 / (np.float64(high) - low)
    mean_x, mean_y, mean_z = sum_x / count, sum_y / count, sum_z / count
    for axis, mean in ((0, mean_x), (1, mean_y), (2, mean_z)):
        for i in range(count):
            points[axis, i] = (points[axis, i] - np.float32(mean)) * np.float32(scale)
    least = min(square_x / count - mean_x**2, square_y / count - mean_y**2, square_z / count - mean_z**2)
    return float(max(least * scale**2, 0.0)) if low > -BOUND and high < BOUND else 0.0


@compiled
def project(points: _Floats, heading: float, height: float, pixels: int, places: NDArray[np.int32]) -> None:
    """Where a camera sees points.

    It looks at the origin, upright, along ``(r cos heading, height, r sin heading)`` of length 1.

    Args:
        points: Shape (3, count).
        heading: Angle about the upright axis, from x towards z.
        height: From -1, straight down, to 1.
        pixels: Side of the picture.
        places: Pixel of each point, row by row from above; ``pixels**2`` if it is not in the picture.
    """
    camera = camera_of(heading, height, pixels)
    x, y, z = points[0], points[1], points[2]
    for i in range(len(places)):
        places[i] = place_of(x[i], y[i], z[i], camera, np.int32(pixels))


@compiled
def camera_of(heading: float, height: float, pixels: int) -> _Camera:
    """Numbers of a camera, as ``place_of`` takes them: rightwards, upwards and ahead, and the zoom."""
    level = math.sqrt(1.0 - height * height)
    cos, sin = math.cos(heading), math.sin(heading)
    return (
        np.float32(-sin),
        np.float32(cos),
        np.float32(-height * cos),
        np.float32(level),
        np.float32(-height * sin),
        np.float32(level * cos),
        np.float32(height),
        np.float32(level * sin),
        np.float32(pixels / 2 / math.tan(ANGLE / 2)),
    )


@compiled
def place_of(x: np.float32, y: np.float32, z: np.float32, camera: _Camera, side: np.int32) -> np.int32:
    """Pixel in which a camera sees a point, row by row from above; ``side**2`` if it does not."""
    right_x, right_z, up_x, up_y, up_z, ahead_x, ahead_y, ahead_z, zoom = camera
    half, limit = np.float32(side) / np.float32(2), np.float32(side)
    depth = ahead_x * x + ahead_y * y + ahead_z * z + np.float32(DISTANCE)
    zoomed = zoom / depth
    column = half + (right_x * x + right_z * z) * zoomed
    row = half - (up_x * x + up_y * y + up_z * z) * zoomed
    across = (column >= np.float32(0)) & (column < limit)
    seen = across & (row >= np.float32(0)) & (row < limit) & (depth >= np.float32(NEAR))
    # 32 bits throughout, or loops are vectorised in 64
    place = np.int32(np.int32(np.int32(row) * side) + np.int32(column))
    return place if seen else np.int32(side * side)


@compiled
def draw_cloud(points: _Floats, heading: float, height: float, pixels: int) -> NDArray[np.uint8]:
    """White points on black, as ``project`` sees them."""
    places = np.empty(points.shape[1], dtype=np.int32)
    project(points, heading, height, pixels, places)
    # one more: points that are not in the picture are drawn there, which costs less than to ask
    picture = np.zeros(pixels * pixels + 1, dtype=np.uint8)
    for place in places:
        picture[np.uint32(place)] = 255
    return picture[: pixels * pixels].reshape(pixels, pixels)


@compiled
def draw_cloud_in_colour(
    points: _Floats,
    chosen: NDArray[np.uint8],
    colours: NDArray[np.uint8],
    heading: float,
    height: float,
    pixels: int,
) -> NDArray[np.uint8]:
    """Points in the colours of their maps, darker with depth, on black; of those in one pixel, the nearest.

    Args:
        points: Shape (3, count).
        chosen: Map of each point, 0 to 7.
        colours: Of each map, shape (maps, 3).
        heading: As ``project`` takes it.
        height: As ``project`` takes it.
        pixels: Side of the picture.
    """
    places = np.empty(points.shape[1], dtype=np.int32)
    project(points, heading, height, pixels, places)
    level = math.sqrt(1.0 - height * height)
    ahead_x, ahead_y, ahead_z = level * math.cos(heading), height, level * math.sin(heading)
    # depth in the upper bits, so that the smallest number is the nearest point, and its map in three
    nearest = np.full(pixels * pixels + 1, _NOTHING, dtype=np.uint32)
    for i in range(len(places)):
        depth = DISTANCE + ahead_x * points[0, i] + ahead_y * points[1, i] + ahead_z * points[2, i]
        number = np.uint32(np.uint32(max(depth, 0.0) * _DEPTHS) << np.uint32(3)) | chosen[i]
        place = np.uint32(places[i])
        nearest[place] = min(nearest[place], np.uint32(number))
    picture = np.zeros((pixels * pixels, 3), dtype=np.uint8)
    for pixel in range(pixels * pixels):
        number = nearest[pixel]
        if number != _NOTHING:
            depth = (number >> np.uint32(3)) / _DEPTHS
            light = min(max((_DARKEST - depth) / (_DARKEST - _BRIGHTEST), _LEAST_LIGHT), 1.0)
            for channel in range(3):
                picture[pixel, channel] = np.uint8(colours[number & np.uint32(7), channel] * light)
    return picture.reshape(pixels, pixels, 3)
