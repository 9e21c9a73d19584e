import numpy as np
import pytest
from fujimi_data.augment.draws import sample_key
from fujimi_data.augment.flip import Flip
from fujimi_data.augment.padding import PaddedCrop

KEYS = [sample_key(seed=0, position=3, number=number) for number in range(2000)]
PICTURE = np.random.default_rng(0).integers(0, 256, (16, 20, 3), dtype=np.uint8)


def test_a_window_is_cut_out_of_the_picture_with_its_border() -> None:
    crop, flip = PaddedCrop(padding=4, fill=9), Flip(horizontal=0.5)
    whole = np.pad(PICTURE, ((4, 4), (4, 4), (0, 0)), constant_values=9)
    for key in KEYS[:100]:
        out = np.empty((3, 18, 16), dtype=np.uint8)
        crop.write(PICTURE, out, key=key, flip=flip)
        top, left = crop.draw(key, rows=16, columns=20, new_rows=18, new_columns=16)
        window = whole[4 + top : 22 + top, 4 + left : 20 + left]
        assert np.array_equal(out.transpose(1, 2, 0), window[:, :: -1 if flip.draw(key)[0] else 1])


def test_every_place_occurs_as_often_as_any_other() -> None:
    drawn = [PaddedCrop(padding=2).draw(key, rows=8, columns=9, new_rows=9, new_columns=8) for key in KEYS]
    places, counts = np.unique(drawn, axis=0, return_counts=True)
    assert [tuple(place) for place in places] == [(top, left) for top in range(-2, 2) for left in range(-2, 4)]
    # 2000 draws of 24 places
    assert np.abs(counts - 2000 / 24).max() < 5 * np.sqrt(2000 / 24)


def test_a_picture_that_is_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="border of 1 pixels is smaller"):
        PaddedCrop(padding=1).write(PICTURE, np.empty((3, 19, 20), dtype=np.uint8), key=KEYS[0], flip=Flip())


@pytest.mark.parametrize("options", [{"padding": -1}, {"fill": 256}])
def test_a_number_out_of_range_is_refused_by_name(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} is"):
        PaddedCrop(**options)
