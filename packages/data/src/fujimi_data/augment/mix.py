"""Mixup and CutMix: pairs of samples, and of their labels, are blended or cut together."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from fujimi_data.augment.draws import MIX, Key, below, group_key, uniform
from fujimi_data.compiled import compiled

_Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixing:
    """How samples are mixed.

    Samples next to each other in the endless order are pairs: the batch is in random order anyhow, and so the pairs
    do not depend on the number of ranks. All samples of a group share one draw.

    Args:
        mixup: Parameter a of the shares, which have the distribution Beta(a, a); 0 for no mixup.
        cutmix: The same for CutMix.
        cutmix_probability: That CutMix is used where both are.
        probability: That a group is mixed.
        group: Samples that share a draw, an even number: 2 is one draw for each pair, the size of a rank's batch is
            what timm calls the mode ``batch``.
        smoothing: Share of a label that is spread over all classes, at least 0, below 1.

    Raises:
        ValueError: If a number is outside its range.

    Source:
        H. Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018; S. Yun et al., "CutMix", ICCV 2019; the
        rules are those of timm 1.0, ``mixup.py``, with ``correct_lam=True``.
    """

    mixup: float = 0.8
    cutmix: float = 1.0
    cutmix_probability: float = 0.5
    probability: float = 1.0
    group: int = 64
    smoothing: float = 0.1

    def __post_init__(self) -> None:
        if not (0 <= self.mixup < math.inf and 0 <= self.cutmix < math.inf and self.mixup + self.cutmix > 0):
            raise ValueError(f"mixup {self.mixup}, cutmix {self.cutmix}: both must be at least 0, and one above")
        for name, value in (("cutmix_probability", self.cutmix_probability), ("probability", self.probability)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value}; it must be from 0 to 1")
        if self.group < 2 or self.group % 2:
            raise ValueError(f"group is {self.group}; it must be an even number from 2")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing is {self.smoothing}; it must be at least 0 and below 1")

    def apply(
        self,
        pictures: _Bytes,
        labels: NDArray[np.int64],
        *,
        classes: int,
        seed: int,
        first: int,
        alone: Sequence[int] = (),
    ) -> NDArray[np.float32]:
        """Mix pictures that follow each other in the endless order, in place.

        Args:
            pictures: Shape (batch, rows, columns) or (batch, channels, rows, columns), contiguous.
            labels: Their classes, shape (batch,).
            classes: How many there are.
            seed: Of the run.
            first: Place of the first sample in the endless order, an even number.
            alone: Places, among these, of pictures that stay as they are, with their partners.

        Returns:
            Targets: shares of the classes, shape (batch, classes).

        Raises:
            ValueError: If the samples do not begin and end with a pair, or a label is outside of its range.
        """
        rows, columns = pictures.shape[-2:]
        mix = self.draw(seed=seed, first=first, samples=len(pictures), rows=rows, columns=columns)
        mix = mix.without(alone) if alone else mix
        mix_pictures(pictures, mix)
        return soft_labels(labels, mix, classes=classes, smoothing=self.smoothing)

    def draw(self, *, seed: int, first: int, samples: int, rows: int, columns: int) -> "Mix":
        """How samples that follow each other in the endless order are mixed.

        Args:
            seed: Of the run.
            first: Place of the first sample in the endless order, an even number.
            samples: That follow each other: the batch of a rank, an even number.
            rows: Of a picture.
            columns: Of a picture.

        Raises:
            ValueError: If the samples do not begin and end with a pair.
        """
        if first < 0 or first % 2 or samples < 1 or samples % 2:
            raise ValueError(f"first {first}, samples {samples}: both must be even, so that no pair is split")
        groups = np.arange(first, first + samples) // self.group
        shares = np.ones(samples, dtype=np.float32)
        boxes = np.zeros((samples, 4), dtype=np.int32)
        for group in np.unique(groups):
            share, box = self._draw_group(group_key(seed=seed, group=int(group)), rows, columns)
            shares[groups == group], boxes[groups == group] = share, box
        return Mix(partners=np.arange(samples) ^ 1, shares=shares, boxes=boxes)

    def _draw_group(self, key: Key, rows: int, columns: int) -> tuple[float, tuple[int, int, int, int]]:
        mixed, chance = uniform(*key, MIX, 0)
        if mixed >= self.probability:
            return 1.0, (0, 0, 0, 0)
        cut = not self.mixup or (self.cutmix > 0 and chance < self.cutmix_probability)
        share = beta(key, self.cutmix if cut else self.mixup)
        if not cut:
            return share, (0, 0, 0, 0)
        box = cut_box(key, share, rows=rows, columns=columns)
        return 1.0 - (box[2] - box[0]) * (box[3] - box[1]) / (rows * columns), box


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Mix:
    """How the samples of a batch are mixed.

    Args:
        partners: Which sample each is mixed with, shape (batch,).
        shares: Weight of a sample in its label, and that of its pixels where it has no box, shape (batch,); its partner
            has the rest.
        boxes: Top, left, bottom and right of what comes from the partner, shape (batch, 4); all 0 for none.
    """

    partners: NDArray[np.int64]
    shares: NDArray[np.float32]
    boxes: NDArray[np.int32]

    @property
    def weights(self) -> NDArray[np.float32]:
        """Weight of the pixels of each sample where no box is: 1 if it has one, shape (batch,)."""
        return np.where(self.boxes.any(axis=1), np.float32(1), self.shares)

    def without(self, samples: Sequence[int]) -> "Mix":
        """The same, but some samples, and so their partners, stay as they are."""
        alone = [*samples, *self.partners[list(samples)].tolist()]
        shares, boxes = self.shares.copy(), self.boxes.copy()
        shares[alone], boxes[alone] = 1, 0
        return replace(self, shares=shares, boxes=boxes)


def mix_pictures(pictures: _Bytes, mix: Mix) -> None:
    """Exchange boxes and blend in place, rounded to the nearest value.

    Args:
        pictures: Shape (batch, rows, columns) or (batch, channels, rows, columns), contiguous.
        mix: Of this batch.

    Raises:
        ValueError: If pictures are not bytes, or not contiguous.
    """
    if pictures.dtype != np.uint8 or not pictures.flags.c_contiguous:
        raise ValueError(
            f"pictures to be mixed in place are contiguous bytes, not {pictures.dtype} of strides {pictures.strides}"
        )
    rows, columns = pictures.shape[-2:]
    _exchange(pictures.reshape(len(pictures), -1, rows, columns), mix.partners, mix.boxes)
    _blend_pairs(pictures.reshape(len(pictures), -1), mix.partners, mix.weights)


def soft_labels(labels: NDArray[np.int64], mix: Mix, *, classes: int, smoothing: float) -> NDArray[np.float32]:
    """Targets of mixed samples, shape (batch, classes).

    A label has ``1 - smoothing + smoothing / classes`` at its class and ``smoothing / classes`` elsewhere.

    Args:
        labels: Shape (batch,), 0 to ``classes - 1``.
        mix: Of this batch.
        classes: How many there are.
        smoothing: Share that is spread over all classes.

    Raises:
        ValueError: If a label is outside of its range.
    """
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"labels from {labels.min()} to {labels.max()}; with {classes} classes they end before that")
    targets = np.full((len(labels), classes), smoothing / classes, dtype=np.float32)
    samples = np.arange(len(labels))
    for classes_of, shares in ((labels, mix.shares), (labels[mix.partners], 1 - mix.shares)):
        targets[samples, classes_of] += (1 - smoothing) * shares
    return targets


def beta(key: Key, a: float) -> float:
    """Number from 0 to 1 with the distribution Beta(a, a).

    Source:
        L. Devroye, "Random variate generation in one line of code", Winter Simulation Conference 1996, section 3.
    """
    number, angle = uniform(*key, MIX, 1)
    sign, _ = uniform(*key, MIX, 2)
    turn = math.cos(2 * math.pi * angle) ** 2
    try:
        # 1 - number is above 0
        spread = ((1 - number) ** (-1 / a) - 1) * turn
    except OverflowError:  # of a small a: as near to 0 or 1 as can be told
        spread = math.inf
    return 0.5 + math.copysign(0.5, sign - 0.5) / math.sqrt(1 + 1 / spread) if spread > 0 else 0.5


def cut_box(key: Key, share: float, *, rows: int, columns: int) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of a box with the shape of the picture, anywhere in it, cut off at its borders.

    Args:
        key: Of the group.
        share: Of the picture that is kept if nothing is cut off.
        rows: Of the picture.
        columns: Of the picture.
    """
    side = math.sqrt(1 - share)
    height, width = int(rows * side), int(columns * side)
    places = uniform(*key, MIX, 3)
    y, x = below(places[0], rows), below(places[1], columns)
    top, left = max(y - height // 2, 0), max(x - width // 2, 0)
    return top, left, min(y + (height + 1) // 2, rows), min(x + (width + 1) // 2, columns)


@compiled
def _exchange(pictures: _Bytes, partners: NDArray[np.int64], boxes: NDArray[np.int32]) -> None:
    for sample in range(len(pictures)):
        partner = partners[sample]
        if partner <= sample:
            continue
        top, left, bottom, right = boxes[sample]
        for channel in range(pictures.shape[1]):
            for y in range(top, bottom):
                one, other = pictures[sample, channel, y, left:right], pictures[partner, channel, y, left:right]
                for x in range(len(one)):
                    one[x], other[x] = other[x], one[x]


@compiled
def _blend_pairs(pictures: _Bytes, partners: NDArray[np.int64], weights: NDArray[np.float32]) -> None:
    for sample in range(len(pictures)):
        partner = partners[sample]
        weight = weights[sample]
        if partner <= sample or weight == 1:
            continue
        one, other = pictures[sample], pictures[partner]
        rest = np.float32(1) - weight
        for x in range(len(one)):
            first, second = np.float32(one[x]), np.float32(other[x])
            one[x] = np.uint8(np.int32(np.rint(first * weight + second * rest)))
            other[x] = np.uint8(np.int32(np.rint(second * weight + first * rest)))
