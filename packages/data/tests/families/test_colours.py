import numpy as np
from fujimi_data.families.colours import bright_colours


def test_channels_keep_their_proportions_and_the_largest_is_255() -> None:
    words = np.random.default_rng(0).integers(0, 2**32, 2000, dtype=np.uint32)
    colours = bright_colours(words)
    bytes_ = words.view(np.uint8).reshape(-1, 4)[:, :3].astype(float) + 1
    assert (colours.max(axis=1) == 255).all()
    assert np.abs(colours - bytes_ * (255 / bytes_.max(axis=1, keepdims=True))).max() < 1 + 1e-9


def test_a_word_of_zeros_is_white() -> None:
    assert bright_colours(np.zeros(1, dtype=np.uint32)).tolist() == [[255, 255, 255]]
