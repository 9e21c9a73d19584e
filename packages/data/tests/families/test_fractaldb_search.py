import csv
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from hashlib import sha256
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from fujimi_data.families.fractaldb_search import (
    category_of,
    fills,
    reference_categories,
    reference_category,
    with_probabilities,
)
from fujimi_data.families.ifs_orbit import System
from fujimi_data.families.keys import class_key
from numpy.typing import NDArray

# the first categories as FractalDB's authors ship them: repository FractalDB-Pretrained-ResNet-PyTorch,
# data/csv_rate0.2_category1000, MIT
PUBLISHED = Path(__file__).parent.parent / "data" / "fractaldb_categories.csv"
# SHA-256 of their files 00000.csv to 00029.csv, one after the other
PUBLISHED_DIGEST = "f2901e403e089bc20ddee5bc6bb42407883dfa3f947d6e6b6cc697cbdf9d0b71"


def published() -> list[System]:
    categories: dict[int, list[list[float]]] = {}
    with PUBLISHED.open() as file:
        for row in csv.DictReader(file):
            categories.setdefault(int(row["category"]), []).append([float(row[name]) for name in "abcdefp"])
    return [np.array(categories[number]) for number in range(len(categories))]


@cache
def slow_points(system: bytes, points: int, seed: int) -> NDArray[np.float64]:
    """A plain orbit in numpy's numbers, shape (points, 2)."""
    maps = np.frombuffer(system).reshape(-1, 7)
    chosen = np.searchsorted(np.cumsum(maps[:, 6]), np.random.RandomState(seed).random_sample(points))
    chosen = np.minimum(chosen, len(maps) - 1)
    place = np.zeros(2)
    places = [place]
    for row in maps[chosen[:-1]]:
        place = row[:4].reshape(2, 2) @ place + row[4:6]
        places.append(place)
    return np.array(places)


def slow_share(system: System, points: int = 100_000, seed: int = 5) -> float:
    """Share of a picture of 512 that other points than those of the search fill."""
    places = slow_points(system.tobytes(), points, seed)
    scaled = ((places - places.min(axis=0)) / np.ptp(places, axis=0) * 500 + 6).astype(int)
    return len(np.unique(scaled @ [1, 512])) / 512**2


def test_the_published_categories_are_found_bit_for_bit() -> None:
    expected = published()
    found = reference_categories(len(expected))
    assert len(expected) == 8
    assert [system.tolist() for system in found] == [system.tolist() for system in expected]


def test_categories_are_found_on_from_where_the_search_stood() -> None:
    few, more = reference_categories(2, seed=3), reference_categories(3, seed=3)
    assert all(np.array_equal(one, other) for one, other in zip(few, more[:2], strict=True))
    assert np.array_equal(reference_category(2, seed=3), more[2])
    assert not any(np.array_equal(few[0], system) for system in published())


def test_probabilities_add_up_to_one_and_are_proportional_to_areas() -> None:
    system = with_probabilities(np.random.default_rng(0).uniform(-1, 1, (6, 6)))
    assert abs(system[:, 6].sum() - 1) < 1e-15
    areas = np.abs(np.linalg.det(system[:, :4].reshape(-1, 2, 2)))
    assert np.allclose(system[:, 6] / system[0, 6], areas / areas[0], rtol=1e-12)


def test_thirty_categories_are_those_of_the_published_files_to_the_last_byte() -> None:
    text = StringIO()
    for system in reference_categories(30):
        np.savetxt(text, system, delimiter=",")
    assert sha256(text.getvalue().encode()).hexdigest() == PUBLISHED_DIGEST


def test_a_class_has_a_system_that_fills_enough_whatever_the_points() -> None:
    for category in range(6):
        system = category_of(class_key(1, category), fill_rate=0.2)
        assert 2 <= len(system) <= 7
        assert np.abs(system[:, :6]).max() <= 1
        assert slow_share(system) == pytest.approx(0.2, abs=0.1)
        # near the least share, other points may fill a little less
        assert slow_share(system) > 0.195


def test_more_or_less_may_have_to_be_filled() -> None:
    shares = [slow_share(category_of(class_key(1, 2), fill_rate=rate)) for rate in (0.02, 0.1, 0.23)]
    assert shares == sorted(shares)
    assert all(share > 0.95 * rate for share, rate in zip(shares, (0.02, 0.1, 0.23), strict=True))


def test_classes_are_found_in_any_order_and_on_any_thread() -> None:
    keys = [class_key(2, category) for category in range(8)]

    def found(key: tuple[np.uint32, np.uint32]) -> bytes:
        return bytes(category_of.__wrapped__(key, fill_rate=0.1).tobytes())

    in_order = [found(key) for key in keys]
    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(found, reversed(keys))) == in_order[::-1]
    assert len(set(in_order)) == len(keys)


def test_points_fill_as_much_as_plain_ones() -> None:
    for system in published()[:3]:
        share = slow_share(system)
        key = class_key(0, 0)
        assert fills(system, key=key, stream=0, share=0.9 * share)
        assert not fills(system, key=key, stream=0, share=1.1 * share)


def test_points_that_run_away_fill_nothing() -> None:
    system = np.array([[1.2, -1.1, 1.1, 1.2, 0.5, 0.1, 0.7], [0.5, 0.0, 0.0, 0.5, 0.2, 0.3, 0.3]])
    assert not fills(system, key=class_key(0, 0), stream=0, share=0.0)


def test_the_search_does_not_end_early_with_systems_that_would_be_accepted() -> None:
    # published categories are accepted by all points; the first points alone must not speak against them
    for category, system in enumerate(published()):
        for points, share in ((4096, 0.0137), (16384, 0.0483)):
            assert fills(system, key=class_key(4, category), stream=0, points=points, share=share)


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_numpys_seeds_have_32_bits(seed: int) -> None:
    with pytest.raises(ValueError, match="Seed must be between"):
        reference_categories(1, seed=seed)
