import numpy as np
import pytest
from fujimi_data.augment.draws import sample_key
from fujimi_data.augment.flip import Flip

KEYS = [sample_key(seed=1, position=2, number=number) for number in range(2000)]


def test_flips_are_as_frequent_as_asked_and_independent() -> None:
    drawn = np.array([Flip(horizontal=0.5, vertical=0.25).draw(key) for key in KEYS])
    assert np.abs(drawn.mean(axis=0) - (0.5, 0.25)).max() < 5 * 0.5 / np.sqrt(len(KEYS))
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 5 / np.sqrt(len(KEYS))


def test_never_and_always_are_meant() -> None:
    assert {Flip().draw(key) for key in KEYS} == {(False, False)}
    assert {Flip(horizontal=1.0, vertical=1.0).draw(key) for key in KEYS} == {(True, True)}


@pytest.mark.parametrize("options", [{"horizontal": -0.1}, {"vertical": 1.1}])
def test_a_probability_out_of_range_is_refused_by_name(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        Flip(**options)
