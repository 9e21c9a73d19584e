from itertools import product
from typing import Any

import numpy as np
import pytest
from fujimi_data.families.contractive_ifs import class_system, jittered, render
from fujimi_data.families.contractive_reference import reference_system
from fujimi_data.families.contractive_systems import system_of
from fujimi_data.families.ifs_orbit import System
from fujimi_data.families.keys import class_key
from numpy.typing import NDArray


def slow_densities(system: System, *, seed: int, points: int, pixels: int, patch: bool) -> NDArray[np.float64]:
    """The definition, point by point: shares of the densest pixel's points."""
    bounds = np.cumsum(system[:, 6]).tolist()
    maps = system[:, :6].tolist()
    a, b, c, d, e, f = maps[0]
    # the point that the first map leaves where it is
    scale = 1 / (1 + (a * d - b * c) - a - d)
    x, y = scale * ((1 - d) * e + b * f), scale * ((1 - a) * f + c * e)
    places = []
    for uniform in np.random.RandomState(seed).random_sample(points).tolist():
        a, b, c, d, e, f = next((row for row, bound in zip(maps, bounds, strict=True) if uniform < bound), maps[-1])
        x, y = a * x + b * y + e, c * x + d * y + f
        places.append((x, y))
    low, high = np.min(places, axis=0), np.max(places, axis=0)
    drawn = np.random.RandomState(seed).randint(0, 2, (9,), dtype=bool) if patch else np.arange(9) == 4
    counts = np.zeros((pixels + 2, pixels + 2))
    for row, column in ((np.array(places) - low) * ((pixels - 1) / (high - low))).astype(int).tolist():
        counts[row : row + 3, column : column + 3] += drawn.reshape(3, 3)
    counts = counts[1:-1, 1:-1]
    return counts / max(counts.max(), 1)


@pytest.mark.parametrize(("look", "patch"), list(product(("binary", "density"), (False, True))))
def test_reference_pictures_are_those_of_the_definition(look: str, patch: bool) -> None:
    for category in range(3):
        system = reference_system(np.random.default_rng([8, category]), least_maps=2, most_maps=4)
        shares = slow_densities(system, seed=category + 20, points=2000, pixels=48, patch=patch)
        expected = (shares * 255).astype(int) if look == "density" else np.where(shares > 0, 127, 0)
        picture = render(
            seed=8,
            category=category,
            instance=category + 20,
            pixels=48,
            mode="reference",
            look=look,
            patch=patch,
            points=2000,
        )
        assert np.array_equal(picture, expected)


def plain(**options: Any) -> NDArray[np.uint8]:
    asked = {"patch": False, "jitter": False, "flips": False, "pixels": 96, "seed": 3}
    return render(**{"category": 2, "instance": 0, **asked, **options})


def test_default_pictures_lie_where_those_of_the_definition_do() -> None:
    likenesses, more = [], []
    for category in range(12):
        system = class_system(class_key(3, category), least_maps=2, most_maps=4)
        theirs = slow_densities(system, seed=0, points=10_000, pixels=48, patch=False) > 0
        ours = plain(category=category, pixels=48, points=10_000) > 0
        coarse = [picture.reshape(16, 3, 16, 3).any(axis=(1, 3)).ravel() for picture in (theirs, ours)]
        likenesses.append(np.corrcoef(*coarse)[0, 1])
        more.append(ours.mean() / theirs.mean() - 1)
    # where few points go, one more or less moves the frame
    assert min(likenesses) > 0.5
    assert np.median(likenesses) > 0.9
    assert abs(np.median(more)) < 0.02


def test_flips_are_the_eight_of_a_square() -> None:
    upright = plain()
    eight = [turned for picture in (upright, upright.T) for turned in _turned(picture)]
    coarse = [picture.reshape(12, 8, 12, 8).mean(axis=(1, 3)).ravel() for picture in eight]
    seen = set()
    for instance in range(60):
        picture = plain(instance=instance, flips=True).reshape(12, 8, 12, 8).mean(axis=(1, 3)).ravel()
        alike = [float(np.corrcoef(picture, other)[0, 1]) for other in coarse]
        assert max(alike) > 0.95
        seen.add(int(np.argmax(alike)))
    assert seen == set(range(8))


def _turned(picture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    return [picture, picture[::-1], picture[:, ::-1], picture[::-1, ::-1]]


def test_classes_have_systems_that_contract_of_all_allowed_sizes() -> None:
    systems = [class_system(class_key(0, category), least_maps=2, most_maps=4) for category in range(300)]
    counts = np.bincount([len(system) for system in systems], minlength=5)
    assert counts[:2].sum() == 0
    assert counts[2:].min() > 70
    largest = [np.linalg.svd(system[:, :4].reshape(-1, 2, 2), compute_uv=False).max() for system in systems]
    assert max(largest) <= 1 + 1e-12


def test_jitter_scales_one_map_and_lets_none_expand() -> None:
    random = np.random.default_rng(0)
    scaled = set()
    for category in range(100):
        system = class_system(class_key(0, category), least_maps=2, most_maps=4)
        changed = jittered(system, random.integers(0, 2**32, 8).tolist())
        ratios = changed[:, :6] / system[:, :6]
        assert np.allclose(ratios, ratios[:, :1])
        others = np.flatnonzero(np.abs(ratios[:, 0] - 1) > 1e-12)
        assert len(others) <= 1
        assert np.all((ratios >= 0.8 - 1e-12) & (ratios <= 1.1 + 1e-12))
        assert np.linalg.svd(changed[:, :4].reshape(-1, 2, 2), compute_uv=False).max() <= 1 + 1e-12
        assert np.allclose(changed[:, 6], system_of(changed[:, :6])[:, 6])
        scaled.update(np.sign(ratios[others, 0] - 1).tolist())
    assert scaled == {-1, 1}


def test_a_jittered_map_that_would_expand_is_left() -> None:
    turn = np.array([[0.0, -1.0, 1.0, 0.0, 0.3, 0.2], [0.0, 0.999, 0.999, 0.0, 0.1, 0.0]])
    system = system_of(turn)
    # the highest words: times 1.1
    assert np.array_equal(jittered(system, [2**32 - 1] * 8), system)


def test_looks_colours_and_stamps_differ_and_show_the_same_points() -> None:
    binary, density = plain(), plain(look="density")
    coloured = plain(look="density", colour=True)
    assert set(binary.ravel().tolist()) == {0, 127}
    assert density.max() == 255
    assert not (density[binary == 0]).any()
    assert coloured.shape == (96, 96, 3)
    assert np.array_equal(coloured.any(axis=2), binary > 0)
    stamps = [(plain(instance=instance, patch=True) > 0).mean() for instance in range(20)]
    assert len(set(stamps)) > 10
    assert min(stamps) > 0


def test_pictures_fill_their_square_and_a_smaller_one_is_the_same_drawing() -> None:
    large, small = plain(pixels=1 + 4 * 100), plain(pixels=1 + 100)
    for picture in (large, small):
        lit = picture > 0
        assert all(side.any() for side in (lit[0], lit[:, 0], lit[-1], lit[:, -1]))
    near = np.pad(small > 0, 1)
    near = np.logical_or.reduce([near[i : i + 100, j : j + 100] for i in range(3) for j in range(3)])
    assert not ((large[:400, :400] > 0).reshape(100, 4, 100, 4).any(axis=(1, 3)) & ~near).any()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"mode": "fast"}, "Unknown mode: 'fast'"),
        ({"look": "grey"}, "Unknown look: 'grey'. Known: binary, density"),
        ({"points": 0}, "points is 0; it must be from 1 to 8388607"),
        ({"least_maps": 1}, "least_maps is 1 and most_maps is 4; they must be from 2 to 8, in order"),
        ({"least_maps": 5}, "least_maps is 5 and most_maps is 4"),
        ({"most_maps": 9}, "least_maps is 2 and most_maps is 9"),
        ({"pixels": 15}, "pixels is 15"),
    ],
)
def test_bad_options_are_refused_by_name(option: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        render(**{"seed": 0, "category": 0, "instance": 0, "pixels": 64, **option})
