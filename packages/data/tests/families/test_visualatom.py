from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fujimi_data.families.keys import class_key
from fujimi_data.families.visualatom import atom_of, render, view_of

ATOMS = [atom_of(class_key(1, category)) for category in range(3000)]


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("vertices", 200, 1000),
        ("orbits", 1, 200),
        ("radius", 10, 60),
        ("waves_1", 0, 20),
        ("waves_2", 0, 20),
        ("noise", 0, 4),
        ("gap", 0, 0.1),
        ("oval_x", 1, 2),
        ("oval_y", 1, 2),
    ],
)
def test_parameters_are_uniform_over_their_range(name: str, low: float, high: float) -> None:
    values = np.array([getattr(atom, name) for atom in ATOMS], dtype=float)
    assert low <= values.min() < low + 0.03 * (high - low) + 1e-9
    assert high - 0.03 * (high - low) - 1e-9 < values.max() <= high
    steps = high - low + 1 if isinstance(getattr(ATOMS[0], name), int) else np.inf
    deviation = (high - low) * np.sqrt((1 + 2 / steps) / 12)
    assert abs(values.mean() - (low + high) / 2) < 5 * deviation / np.sqrt(len(ATOMS))


def test_waves_are_equal_only_if_there_are_none() -> None:
    assert {atom.waves_1 for atom in ATOMS if atom.waves_1 == atom.waves_2} == {0}
    seen = {(atom.waves_1, atom.waves_2) for atom in ATOMS}
    assert all(any((a, b) in seen for b in range(a)) for a in range(1, 21))
    assert all(any((a, b) in seen for b in range(a + 1, 21)) for a in range(20))


def test_centres_lie_on_half_pixels_of_the_whole_picture() -> None:
    key = class_key(1, 0)
    views = [view_of(ATOMS[0], key, instance) for instance in range(2000)]
    centres = np.array([(view.centre_x, view.centre_y) for view in views])
    assert np.array_equal(centres * 2, np.round(centres * 2))
    assert centres.min() < 5
    assert centres.max() > 507
    assert np.all((centres >= 0) & (centres <= 512))
    assert abs(np.corrcoef(centres.T)[0, 1]) < 5 / np.sqrt(len(centres))


def test_a_view_has_one_grey_for_each_orbit_and_all_greys_occur() -> None:
    category = max(range(100), key=lambda category: ATOMS[category].orbits)
    key = class_key(1, category)
    views = [view_of(ATOMS[category], key, instance) for instance in range(200)]
    assert {len(view.greys) for view in views} == {ATOMS[category].orbits}
    assert len(set(b"".join(view.greys for view in views))) == 256


def test_pictures_do_not_depend_on_threads_or_order() -> None:
    asked = [(category, instance) for category in range(4) for instance in range(2)]

    def one(pair: tuple[int, int]) -> bytes:
        return render(seed=5, category=pair[0], instance=pair[1], pixels=64).tobytes()

    in_order = [one(pair) for pair in asked]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, reversed(asked))) == in_order[::-1]


def test_seed_class_and_instance_each_give_another_picture() -> None:
    pictures = {
        render(seed=seed, category=category, instance=instance, pixels=128).tobytes()
        for seed in (0, 1, 2**32, 2**64 - 1)
        for category in (0, 1)
        for instance in (0, 1)
    }
    # an atom may lie outside of the picture, but hardly twice
    assert len(pictures) >= 15


def test_pictures_are_grey_squares() -> None:
    picture = render(seed=0, category=1, instance=0, pixels=16)
    assert (picture.shape, picture.dtype) == ((16, 16), np.uint8)


@pytest.mark.parametrize(
    ("name", "value"),
    [("seed", -1), ("seed", 2**64), ("category", 2**32), ("instance", 2**32 - 1), ("pixels", 15), ("pixels", 10**9)],
)
def test_a_number_out_of_range_is_refused_by_name(name: str, value: int) -> None:
    arguments = {"seed": 0, "category": 0, "instance": 0, "pixels": 64, name: value}
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        render(**arguments)
