"""Search for the categories of FractalDB: systems whose picture fills enough of its square."""

import math
import threading
from functools import lru_cache
from itertools import count

import numpy as np
from numpy.typing import NDArray

from fujimi_data.compiled import compiled
from fujimi_data.families.bulk_random import BulkRandom
from fujimi_data.families.chaos_game import BLOCK, coefficients, place_all, play
from fujimi_data.families.ifs_orbit import System, choose, orbit_places
from fujimi_data.families.keys import CLASS_STREAM, KEPT_CLASSES, integer, real
from fujimi_data.scratch import borrowed
from fujimi_data.threefry import Pair, derived_key, words

#: Side of the picture that must be filled [pixels].
PIXELS = 512
#: Points that fill it.
POINTS = 100_000
#: Sequence of a class's key that gives the key of its search.
SEARCH_STREAM = CLASS_STREAM - 1
# 7 maps of 6 parameters, and how many maps
_DRAW_PAIRS = 22
# No search ends for much more.
_MOST_FILL_RATE = 0.25
# Points after which a search may end.
_STAGES = (4096, 16384, POINTS)
_BLOCK = 4096


def check_fill_rate(fill_rate: float) -> None:
    """Refuse what a search would go on for without end.

    Raises:
        ValueError: If a fill rate is not above 0, or larger than categories reach.
    """
    if not 0.0 < fill_rate <= _MOST_FILL_RATE:
        raise ValueError(f"fill_rate is {fill_rate}; it must be above 0, up to {_MOST_FILL_RATE}")


def reference_categories(
    count: int, *, seed: int = 1, fill_rate: float = 0.2, points: int = POINTS
) -> tuple[System, ...]:
    """The first categories that the authors' search finds, bit for bit.

    Systems of 2 to 7 maps, with parameters between -1 and 1 and probabilities in proportion to ``|a d - b c|``, are
    drawn one after the other; those are accepted whose points lie in enough of the pixels of a picture of 512. What was
    found is kept, and the search goes on from there.

    Args:
        count: How many.
        seed: Of ``numpy.random``; the published categories are those of 1.
        fill_rate: Least share of the pixels.
        points: Of a picture.

    Raises:
        ValueError: If the seed is not from 0 to ``2**32 - 1``, or the fill rate is such that none is found.

    Source:
        H. Kataoka et al., "Pre-training without Natural Images", ACCV 2020, section 3.2; repository
        FractalDB-Pretrained-ResNet-PyTorch, ``param_search/ifs_search.py``.
    """
    if count < 0:
        raise ValueError(f"count is {count}; it must be at least 0")
    check_fill_rate(fill_rate)
    return _reference_search(seed, fill_rate, points).first(count)


def reference_category(category: int, *, seed: int = 1, fill_rate: float = 0.2, points: int = POINTS) -> System:
    """One of :func:`reference_categories`; those before it are found first."""
    return _reference_search(seed, fill_rate, points)[category]


class _ReferenceSearch:
    def __init__(self, *, seed: int, fill_rate: float, points: int) -> None:
        self._numbers = BulkRandom.of_numpy(seed)
        self._fill_rate = fill_rate
        self._chosen = np.empty(points, dtype=np.uint8)
        self._picture = np.empty(PIXELS * PIXELS, dtype=np.uint8)
        self._found: list[System] = []
        self._lock = threading.Lock()

    def first(self, count: int) -> tuple[System, ...]:
        with self._lock:
            self._find(count)
            return tuple(self._found[:count])

    def __getitem__(self, category: int) -> System:
        with self._lock:
            self._find(category + 1)
            return self._found[category]

    def _find(self, count: int) -> None:
        while len(self._found) < count:
            system = _drawn_system(self._numbers)
            if self._fills(system):
                self._found.append(system)

    def _fills(self, system: System) -> bool:
        choose(self._chosen, system, self._numbers)
        columns, rows = orbit_places(system, self._chosen, pixels=PIXELS)
        return covers(self._picture, rows * np.int32(PIXELS) + columns, self._fill_rate)


@lru_cache(maxsize=64)
def _reference_search(seed: int, fill_rate: float, points: int) -> _ReferenceSearch:
    return _ReferenceSearch(seed=seed, fill_rate=fill_rate, points=points)


def _drawn_system(numbers: BulkRandom) -> System:
    """Draw a system as ``numpy.random.randint(2, 8)`` and ``uniform(-1, 1)`` give it."""
    # 0 to 5, of the lowest three bits of a word; others are passed over
    while (more := int(numbers.words(1)[0]) & 7) > 5:
        pass
    return with_probabilities(-1.0 + 2.0 * numbers.uniforms((2 + more) * 6).reshape(-1, 6))


def with_probabilities(parameters: NDArray[np.float64]) -> System:
    """A system whose maps are chosen in proportion to ``|a d - b c|``; read-only.

    Args:
        parameters: Shape (maps, 6): a, b, c, d, e, f.
    """
    a, b, c, d = parameters[:, :4].T
    areas = np.abs(a * d - b * c)
    # one by one, as the authors add them; numpy's sum may round otherwise
    system = np.column_stack((parameters, areas / sum(areas.tolist())))
    system.flags.writeable = False
    return system


@compiled
def covers(picture: NDArray[np.uint8], places: NDArray[np.int32], share: float) -> bool:
    """Whether points lie on at least this share of a picture's pixels.

    Args:
        picture: Flat; overwritten.
        places: Pixel of each point.
        share: 0 to 1.
    """
    pixels, points = float(len(picture)), len(places)
    picture[:] = 0
    lit = 0
    for start in range(0, points, _BLOCK):
        # even if all points to come lie on pixels of their own
        if (lit + points - start) / pixels < share:
            return False
        for place in places[start : start + _BLOCK]:
            lit += np.uint8(1) - picture[np.uint32(place)]
            picture[np.uint32(place)] = np.uint8(1)
        if lit / pixels >= share:
            return True
    return False


@lru_cache(maxsize=KEPT_CLASSES)
def category_of(key: Pair, *, fill_rate: float) -> System:
    """The first of a class's own systems that fills enough of its picture; read-only.

    Systems are drawn as the authors draw them, but with a key: no other class needs to be searched.

    Args:
        key: Of the class.
        fill_rate: Least share of the pixels.
    """
    search = derived_key(key, SEARCH_STREAM)
    shares = [(points, _least_share(points, fill_rate)) for points in _STAGES]
    for attempt in count():
        system = _keyed_system(search, attempt)
        if all(fills(system, key=search, stream=2 * attempt + 1, points=n, share=share) for n, share in shares):
            return system
    raise AssertionError("the search has no end")


def _keyed_system(key: Pair, attempt: int) -> System:
    draws = [int(word) for word in words(key, stream=2 * attempt, pairs=_DRAW_PAIRS).reshape(-1)]
    maps = integer(draws[0], 2, 7)
    return with_probabilities(np.array([real(draw, -1.0, 1.0) for draw in draws[1 : 1 + 6 * maps]]).reshape(maps, 6))


@lru_cache(maxsize=64)
def _least_share(points: int, fill_rate: float) -> float:
    """Share of the pixels that the first points must lie on, lest the search of a system ends there.

    If all points were spread evenly over A pixels, n of them would lie on ``A (1 - exp(-n / A))``. With the A of the
    fill rate, up to twice as many of the first points may coincide.
    """
    pixels = PIXELS * PIXELS
    if points == POINTS:
        return fill_rate
    low, high = 1.0, 100.0 * pixels
    while high - low > 1.0:
        middle = (low + high) / 2.0
        enough = -middle * math.expm1(-POINTS / middle) >= fill_rate * pixels
        low, high = (low, middle) if enough else (middle, high)
    coinciding = points + high * math.expm1(-points / high)
    return max(points - 2.0 * coinciding, 0.0) / pixels


def fills(system: System, *, key: Pair, stream: int, share: float, points: int = POINTS) -> bool:
    """Whether points of the chaos game lie on at least this share of the pixels of a picture of 512.

    Args:
        system: At most 8 maps.
        key: Of the random words.
        stream: Which sequence of the key.
        share: 0 to 1.
        points: How many.
    """
    played = -(-points // BLOCK) * BLOCK
    xs, ys, drawn, places, picture = borrowed(
        (played, np.float32), (played, np.float32), (played, np.uint32), (points, np.int32), (PIXELS**2, np.uint8)
    )
    play(xs, ys, drawn, *coefficients(system), *key, np.uint32(stream), True)
    return place_all(places, xs[:points], ys[:points], PIXELS) and covers(picture, places, share)
