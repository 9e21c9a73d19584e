import numpy as np
import pytest
from fujimi_data.families.contractive_systems import (
    NUMBERS,
    default_sum,
    maps_of,
    singular_values,
    system_of,
    uniforms_of,
)
from numpy.typing import NDArray


def slow_maps(random: np.random.Generator, maps: int) -> NDArray[np.float64]:
    """The definition, map by map, with numpy's own uniform numbers, shape (maps, 2, 3).

    Source:
        C. Anderson, R. Farrell, "Improving Fractal Pre-training", WACV 2022, section 3.2, in the order in which
        repository fractal-pretraining, fractal_learning/fractals/ifs.py, draws.
    """
    reflections = [np.diag(np.sign(random.random(2) - 0.5)) for _ in range(2 * maps)]
    angles = random.uniform(-np.pi, np.pi, 2 * maps)
    turns = [
        np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]) @ reflection
        for t, reflection in zip(angles, reflections, strict=True)
    ]
    total = random.uniform((5 + maps) / 2, (6 + maps) / 2)
    values = []
    for others in reversed(range(1, maps)):
        # the others can take up to 3 each
        first = random.uniform(max(0, (total - 3 * others) / 3), min(1, total))
        second = random.uniform(max(0, (total - first - 3 * others) / 2), min(first, (total - first) / 2))
        total -= first + 2 * second
        values.append((first, second))
    second = random.uniform(max(0, (total - 1) / 2), total / 3)
    values.append((total - 2 * second, second))
    moved = random.uniform(-1, 1, (maps, 2))
    linear = [turns[i] @ np.diag(values[i]) @ turns[maps + i] for i in range(maps)]
    return np.concatenate((linear, moved[:, :, None]), axis=2)


@pytest.mark.parametrize("maps", range(2, 9))
@pytest.mark.parametrize("as_numpy", [False, True])
def test_maps_are_those_of_the_definition(maps: int, as_numpy: bool) -> None:
    for seed in range(20):
        uniforms = np.random.default_rng(seed).random(NUMBERS * maps)
        drawn = maps_of(uniforms, weighted_sum=default_sum(maps), as_numpy=as_numpy)
        expected = slow_maps(np.random.default_rng(seed), maps)
        assert np.allclose(drawn[:, :4].reshape(-1, 2, 2), expected[:, :, :2], rtol=0, atol=1e-14)
        assert np.array_equal(drawn[:, 4:], expected[:, :, 2])


def test_the_sum_of_singular_values_is_what_was_asked_for_and_no_map_expands() -> None:
    random = np.random.default_rng(0)
    for maps in range(2, 9):
        for _ in range(50):
            drawn = maps_of(random.random(NUMBERS * maps), weighted_sum=(0.6 * maps, 0.6 * maps))
            values = np.linalg.svd(drawn[:, :4].reshape(-1, 2, 2), compute_uv=False)
            assert values.max() <= 1 + 1e-12
            assert abs((values @ [1, 2]).sum() - 0.6 * maps) < 1e-12


@pytest.mark.parametrize("total", [0.01, 3.0, 5.99])
def test_singular_values_come_in_order(total: float) -> None:
    for uniforms in np.random.default_rng(1).random((50, 3)):
        values = singular_values(uniforms, total=total)
        assert np.all(values[:, 0] >= values[:, 1])
        assert np.all(values >= 0)
        assert abs((values @ [1, 2]).sum() - total) < 1e-12


def test_uniform_numbers_lie_inside() -> None:
    uniforms = uniforms_of(np.array([[0, 2**32 - 1], [2**31, 5]], dtype=np.uint32))
    assert np.all((uniforms > 0) & (uniforms < 1))
    assert np.all(uniforms != 0.5)


def test_maps_are_chosen_in_proportion_to_their_areas() -> None:
    parameters = np.random.default_rng(0).uniform(-1, 1, (5, 6))
    areas = np.abs(np.linalg.det(parameters[:, :4].reshape(-1, 2, 2)))
    assert np.allclose(system_of(parameters)[:, 6], areas / areas.sum(), rtol=1e-12)
