import math
from typing import Any

import numpy as np
import pytest
from fujimi_data.augment.draws import MIX, group_key, uniform
from fujimi_data.augment.mix import Mix, Mixing, beta, cut_box, mix_pictures, soft_labels
from numpy.typing import NDArray

KEYS = [group_key(seed=0, group=group) for group in range(4000)]


def mix_of(shares: list[float], boxes: list[tuple[int, int, int, int]]) -> Mix:
    return Mix(
        partners=np.arange(len(shares)) ^ 1,
        shares=np.array(shares, dtype=np.float32),
        boxes=np.array(boxes, dtype=np.int32),
    )


@pytest.mark.parametrize(
    ("a", "below"),
    [
        (0.5, lambda x: 2 / math.pi * math.asin(math.sqrt(x))),
        (1.0, lambda x: x),
        (2.0, lambda x: 3 * x**2 - 2 * x**3),
        (3.0, lambda x: 10 * x**3 - 15 * x**4 + 6 * x**5),
    ],
)
def test_shares_have_the_beta_distribution(a: float, below: Any) -> None:
    drawn = np.array([beta(key, a) for key in KEYS])
    for bound in (0.05, 0.2, 0.5, 0.7, 0.95):
        share = below(bound)
        assert abs((drawn < bound).mean() - share) < 5 * math.sqrt(share * (1 - share) / len(KEYS))


def test_shares_have_the_moments_of_any_beta_distribution() -> None:
    for a in (0.1, 0.8, 7.5):
        drawn = np.array([beta(key, a) for key in KEYS])
        variance = 1 / (4 * (2 * a + 1))
        fourth = 3 / (16 * (2 * a + 1) * (2 * a + 3))
        assert abs(drawn.mean() - 0.5) < 5 * math.sqrt(variance / len(KEYS))
        assert abs(((drawn - 0.5) ** 2).mean() - variance) < 5 * math.sqrt((fourth - variance**2) / len(KEYS))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99, 1.0])
def test_boxes_are_those_of_timm_for_the_same_numbers(share: float) -> None:
    for key in KEYS[:200]:
        # rand_bbox of timm 1.0, mixup.py, statement by statement
        img_h, img_w = 30, 47
        ratio = np.sqrt(1 - share)
        cut_h, cut_w = int(img_h * ratio), int(img_w * ratio)
        places = uniform(*key, MIX, 3)
        cy, cx = int(places[0] * img_h), int(places[1] * img_w)
        yl = np.clip(cy - cut_h // 2, 0, img_h)
        yh = np.clip(cy + (cut_h + 1) // 2, 0, img_h)
        xl = np.clip(cx - cut_w // 2, 0, img_w)
        xh = np.clip(cx + (cut_w + 1) // 2, 0, img_w)
        assert cut_box(key, share, rows=30, columns=47) == (yl, xl, yh, xh)


def test_half_of_the_groups_are_cut_and_half_are_blended() -> None:
    mix = Mixing(group=2).draw(seed=0, first=0, samples=8000, rows=32, columns=32)
    is_cut = mix.boxes.any(axis=1)[::2]
    # a cut so small that its box is empty changes nothing
    assert abs(is_cut.mean() - 0.5) < 5 * 0.5 / math.sqrt(4000) + 0.01
    top, left, bottom, right = mix.boxes.T
    area = (bottom - top) * (right - left)
    assert np.allclose(mix.shares[mix.boxes.any(axis=1)], (1 - area / 1024)[mix.boxes.any(axis=1)])
    assert np.array_equal(mix.weights == 1, mix.boxes.any(axis=1) | (mix.shares == 1))


@pytest.mark.parametrize(
    ("options", "blended", "cut_out"),
    [
        ({"mixup": 0.8, "cutmix": 0.0}, True, False),
        ({"mixup": 0.0, "cutmix": 1.0}, False, True),
        ({"cutmix_probability": 0.0}, True, False),
        ({"cutmix_probability": 1.0}, False, True),
        ({"probability": 0.0}, False, False),
    ],
)
def test_what_is_switched_off_does_not_happen(options: dict[str, float], blended: bool, cut_out: bool) -> None:
    mix = Mixing(group=2, **options).draw(seed=0, first=0, samples=400, rows=32, columns=32)
    assert bool((mix.weights < 1).any()) == blended
    assert bool(mix.boxes.any()) == cut_out


def test_a_group_shares_a_draw_and_groups_differ() -> None:
    mix = Mixing(mixup=0.8, cutmix=0.0, group=8).draw(seed=3, first=0, samples=64, rows=32, columns=32)
    by_group = mix.shares.reshape(8, 8)
    assert (by_group == by_group[:, :1]).all()
    assert len(np.unique(by_group)) == 8


@pytest.mark.parametrize("ranks", [1, 2, 3, 6, 12])
def test_mixing_does_not_depend_on_the_number_of_ranks(ranks: int) -> None:
    mixing = Mixing(group=8)
    whole = mixing.draw(seed=5, first=240, samples=120, rows=32, columns=32)
    batch = 120 // ranks
    parts = [mixing.draw(seed=5, first=240 + rank * batch, samples=batch, rows=32, columns=32) for rank in range(ranks)]
    assert np.array_equal(np.concatenate([part.shares for part in parts]), whole.shares)
    assert np.array_equal(np.concatenate([part.boxes for part in parts]), whole.boxes)
    partners = [part.partners + rank * batch for rank, part in enumerate(parts)]
    assert np.array_equal(np.concatenate(partners), whole.partners)


def slowly_mixed(pictures: NDArray[np.uint8], mix: Mix) -> NDArray[np.uint8]:
    """``FastCollateMixup`` of timm 1.0 for arrays, with pairs of neighbours."""
    mixed = pictures.copy()
    for i, j in enumerate(mix.partners):
        top, left, bottom, right = mix.boxes[i]
        if mix.boxes[i].any():
            mixed[i, ..., top:bottom, left:right] = pictures[j, ..., top:bottom, left:right]
        else:
            lam = float(mix.shares[i])
            mixed[i] = np.rint(
                pictures[i].astype(np.float32) * np.float32(lam)
                + pictures[j].astype(np.float32) * (np.float32(1) - np.float32(lam))
            )
    return mixed


@pytest.mark.parametrize("shape", [(8, 9, 11), (8, 3, 9, 11)])
def test_pictures_are_mixed_as_in_timm(shape: tuple[int, ...]) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    box = (2, 3, 9, 8)
    mix = mix_of([0.3, 0.3, 0.5, 0.5, 1.0, 1.0, 0.617, 0.617], [(0, 0, 0, 0)] * 2 + [box] * 2 + [(0, 0, 0, 0)] * 4)
    mixed = pictures.copy()
    mix_pictures(mixed, mix)
    assert np.array_equal(mixed, slowly_mixed(pictures, mix))


def test_what_is_left_out_stays_as_it_is_with_its_partner() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (8, 9, 11), dtype=np.uint8)
    mix = Mixing(group=2).draw(seed=1, first=0, samples=8, rows=9, columns=11)
    mixed, some_mixed = pictures.copy(), pictures.copy()
    mix_pictures(mixed, mix)
    mix_pictures(some_mixed, mix.without([3, 4]))
    alone = [2, 3, 4, 5]
    assert np.array_equal(some_mixed[alone], pictures[alone])
    assert np.array_equal(some_mixed[[0, 1, 6, 7]], mixed[[0, 1, 6, 7]])
    targets = soft_labels(np.arange(8), mix.without([3, 4]), classes=8, smoothing=0.0)
    assert np.array_equal(targets[alone], np.eye(8)[alone])


def test_labels_are_shared_out_and_smoothed_as_in_timm() -> None:
    labels = np.array([0, 3, 2, 2])
    targets = soft_labels(labels, mix_of([0.75, 0.75, 0.5, 0.5], [(0, 0, 0, 0)] * 4), classes=5, smoothing=0.1)
    # mixup_target of timm 1.0, mixup.py: on and off values, then the mean of a pair
    one_hot = np.full((4, 5), 0.1 / 5)
    one_hot[np.arange(4), labels] = 1 - 0.1 + 0.1 / 5
    shares = np.array([0.75, 0.75, 0.5, 0.5])[:, None]
    assert np.allclose(targets, one_hot * shares + one_hot[[1, 0, 3, 2]] * (1 - shares), atol=1e-7)
    assert np.allclose(targets.sum(axis=1), 1)


def test_a_label_out_of_range_is_refused() -> None:
    for label in (-1, 5):
        with pytest.raises(ValueError, match="with 5 classes"):
            soft_labels(np.array([0, label]), mix_of([1, 1], [(0, 0, 0, 0)] * 2), classes=5, smoothing=0.1)


@pytest.mark.parametrize(("first", "samples"), [(1, 4), (0, 3), (-2, 4), (0, 0)])
def test_a_pair_that_is_split_is_refused(first: int, samples: int) -> None:
    with pytest.raises(ValueError, match="no pair is split"):
        Mixing().draw(seed=0, first=first, samples=samples, rows=8, columns=8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mixup": -1.0}, "mixup -1"),
        ({"mixup": 0.0, "cutmix": 0.0}, "one above"),
        ({"cutmix_probability": 2.0}, "cutmix_probability is"),
        ({"probability": -1.0}, "probability is"),
        ({"group": 3}, "group is"),
        ({"smoothing": 1.0}, "smoothing is"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Mixing(**options)


def test_shares_of_a_small_parameter_are_those_of_one_picture_or_the_other() -> None:
    drawn = np.array([beta(key, 0.001) for key in KEYS])
    assert np.all((drawn >= 0) & (drawn <= 1))
    assert np.mean(np.minimum(drawn, 1 - drawn) < 1e-6) > 0.95
    assert abs(drawn.mean() - 0.5) < 5 * 0.5 / math.sqrt(len(KEYS))


@pytest.mark.parametrize("kind", ["gaps", "float"])
def test_pictures_that_cannot_be_mixed_in_place_are_refused(kind: str) -> None:
    pictures = np.zeros((2, 8, 8, 3), dtype=np.uint8).transpose(0, 3, 1, 2)
    given = pictures if kind == "gaps" else np.zeros((2, 8, 8), dtype=np.float32)
    with pytest.raises(ValueError, match="pictures to be mixed in place are contiguous bytes"):
        mix_pictures(given, mix_of([0.5, 0.5], [(0, 0, 0, 0)] * 2))
