from itertools import pairwise

import numpy as np
import pytest
from fujimi_data.families.bulk_random import BulkRandom
from fujimi_data.families.fractaldb_instances import (
    FIRST_ROW,
    ROWS,
    STAGES,
    UNCHANGED_ROW,
    factors,
    proper_variant,
    row_of,
    weight_rows,
    weighted,
)
from fujimi_data.families.fractaldb_search import category_of
from fujimi_data.families.ifs_orbit import choose
from fujimi_data.families.keys import class_key

# repository FractalDB-Pretrained-ResNet-PyTorch, fractal_renderer/weights: values of the first parameter that their
# tables begin with, in their order; the other parameters follow without ones
TABLES = {
    0.0125: ("0.975", "0.9875", "1", "1.0125", "1.025"),
    0.025: ("0.95", "0.975", "1", "1.025", "1.05"),
    0.05: ("0.9", "0.95", "1", "1.05", "1.1"),
    0.1: ("0.8", "0.9", "1", "1.1", "1.2"),
    0.2: ("0.6", "0.8", "1", "1.2", "1.4"),
    0.3: ("0.4", "0.7", "1", "1.3", "1.6"),
    0.4: ("0.2", "0.6", "1", "1.4", "1.8"),
    0.5: ("0.01", "0.5", "1", "1.5", "2"),
}
PROPER = {"fill_rate": 0.2, "weights": 0.4}


def farthest(key: tuple[np.uint32, np.uint32], row: int, stage: int = 0) -> float:
    """How far plain points go, in 64 bits; infinite if they become no numbers."""
    system = weighted(category_of(key, fill_rate=0.2), factors(key, weights=0.4, row=row, stage=stage))
    chosen = np.empty(30_000, dtype=np.uint8)
    choose(chosen, system, BulkRandom.of_numpy(1))
    x = y = most = 0.0
    maps = [tuple(row) for row in system.tolist()]
    for which in np.minimum(chosen, len(system) - 1).tolist():
        a, b, c, d, e, f, _ = maps[which]
        x, y = a * x + b * y + e, c * x + d * y + f
        most = max(most, abs(x), abs(y))
        if most > 1e100:
            return np.inf
    return most


@pytest.mark.parametrize("weights", TABLES)
def test_rows_are_those_of_the_published_tables(weights: float) -> None:
    values = [float(value) for value in TABLES[weights]]
    rows = weight_rows(weights)
    assert rows[: len(values), 0].tolist() == values
    for parameter in range(1, 6):
        first = 1 + 4 * parameter
        assert rows[first : first + 4, parameter].tolist() == values[:2] + values[3:]
    assert rows.shape == (25, 6)
    assert (rows != 1).sum() == 24
    assert rows[FIRST_ROW].tolist() == [values[0], 1, 1, 1, 1, 1]
    assert rows[UNCHANGED_ROW].tolist() == [1] * 6


def test_drawings_run_through_patterns_then_rows_then_patterns_again() -> None:
    assert [row_of(number, patterns=10) for number in (0, 9, 10, 249, 250, 260)] == [0, 0, 1, 24, 0, 1]
    assert [row_of(number, patterns=1) for number in (0, 1, 24, 25)] == [0, 1, 24, 0]


def test_probabilities_stay_when_parameters_change() -> None:
    system = category_of(class_key(0, 0), fill_rate=0.2)
    changed = weighted(system, np.array([2.0, 1.0, 1.0, 0.5, 1.0, 3.0]))
    assert np.array_equal(changed[:, 6], system[:, 6])
    assert np.array_equal(changed[:, :6], system[:, :6] * [2.0, 1.0, 1.0, 0.5, 1.0, 3.0])


def test_a_weight_that_is_drawn_anew_comes_nearer_to_one_and_ends_there() -> None:
    key = class_key(0, 3)
    for row in (0, 4, 16):
        parameter = int(np.argmax(weight_rows(0.4)[row] != 1))
        off = [factors(key, weights=0.4, row=row, stage=stage)[parameter] - 1 for stage in range(STAGES + 1)]
        assert off[0] == weight_rows(0.4)[row, parameter] - 1
        assert all(0 < after / before < 1 for before, after in pairwise(off[:-1]))
        assert off[-1] == 0
        others = np.delete(factors(key, weights=0.4, row=row, stage=2), parameter)
        assert others.tolist() == [1] * 5


def test_how_near_it_comes_differs_by_class_and_row() -> None:
    shrunk = {
        float(np.abs(factors(class_key(0, category), weights=0.4, row=row, stage=1) - 1).max() / 0.8)
        for category in range(3)
        for row in (0, 4)
    }
    assert len(shrunk) == 6


def test_variants_whose_points_run_away_are_not_proper_and_others_are() -> None:
    keys = [class_key(0, category) for category in range(6)]
    far = {(number, row): farthest(key, row) for number, key in enumerate(keys) for row in (2, 4, 8, 12, 16, 20)}
    proper = {pair: proper_variant(keys[pair[0]], row=pair[1], stage=0, **PROPER) is not None for pair in far}
    runaway = [pair for pair in far if far[pair] > 1000]
    near = [pair for pair in far if far[pair] < 8]
    assert len(runaway) >= 2
    assert len(near) >= 10
    assert not any(proper[pair] for pair in runaway)
    assert all(proper[pair] for pair in near)


def test_every_row_of_every_class_has_a_proper_variant_before_the_weight_is_one() -> None:
    for category in range(3):
        key = class_key(5, category)
        for row in range(ROWS):
            first = next(stage for stage in range(STAGES) if proper_variant(key, row=row, stage=stage, **PROPER))
            assert farthest(key, row, first) < 300


def test_the_last_weight_is_the_category_itself() -> None:
    key = class_key(0, 0)
    last = proper_variant(key, row=4, stage=STAGES, **PROPER)
    assert last is not None
    assert np.array_equal(last.system, category_of(key, fill_rate=0.2))
