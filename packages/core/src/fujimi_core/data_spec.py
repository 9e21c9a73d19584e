"""Data: which pictures or tokens a job reads, in which order, and what it makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fujimi_core.checks import at_least, within


class PictureSource(StrEnum):
    """Where pictures come from."""

    #: Shards in ``data.path``.
    SHARDS = "shards"
    #: The family's generator, whenever one is read.
    GENERATOR = "generator"


class PictureCache(StrEnum):
    """Where generated pictures are kept."""

    NONE = "none"
    #: On storage of the node: drawn once, read from the second epoch on.
    NODE = "node"


class SampleOrder(StrEnum):
    """In which order an epoch's samples are read."""

    #: Each sample may come at any place: a permutation of all, another one in each epoch.
    SHUFFLE = "shuffle"
    #: Each place in a global batch reads blocks of 64 neighbours, in random order, one sample a step: for file systems
    #: that seek slowly. A batch still has samples of as many blocks as it has places.
    LANES = "lanes"
    #: As they lie.
    SEQUENTIAL = "sequential"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSpec:
    """``[data]``: which pictures, or which tokens.

    Args:
        path: Directory of shards, or its URL, or file of tokens.
        family: Generator of pictures that made them, or makes them in a dry run; ``images`` for packed pictures of
            others; or ``tokens``.
        classes: Of pictures, number of classes.
        instances: Of generated pictures, pictures a class.
        pixels: Side of a picture [pixels].
        colour: Whether pictures have three channels.
        options: Of the generator, further ones.
        source: Whether to read pictures from shards or to draw them.
        seed: Of pictures that are drawn; those of shards have theirs.
        cache: Where to keep what is drawn.
        cache_dir: Directory for it, or for what is fetched from a URL; ``$NAME`` stands for a variable of the
            environment.
        order: Of the samples.
        augment: Published recipe that pictures go through, which brings them to ``pixels``; ``none``: they stay as
            they are.
        mix: Whether pairs of pictures, and their labels, are mixed as that recipe says: Mixup and CutMix.
        repeats: How often each picture is in its batch, augmented anew each time; the number divides the global batch.
        mean: Of pixels [of the largest value], which the network sees as 0.
        std: Standard deviation of pixels [of the largest value], which the network sees as 1.
        sequence: Tokens of a sample.
        vocabulary: Of tokens, how many different ones there are.
    """

    path: str = "data"
    family: str
    classes: int | None = None
    instances: int | None = None
    pixels: int = 224
    colour: bool = False
    options: Mapping[str, bool | int | float | str] = field(default_factory=dict)
    source: PictureSource = PictureSource.SHARDS
    seed: int = 0
    cache: PictureCache = PictureCache.NONE
    cache_dir: str = "$TMPDIR"
    order: SampleOrder = SampleOrder.SHUFFLE
    augment: str = "none"
    mix: bool = False
    repeats: int = 1
    mean: float = 0.5
    std: float = 0.5
    sequence: int | None = None
    vocabulary: int | None = None

    def __post_init__(self) -> None:
        sizes = {"pictures": ("classes", "instances"), "tokens": ("sequence", "vocabulary")}
        kind, other = ("tokens", "pictures") if self.is_tokens else ("pictures", "tokens")
        needed = ("classes",) if self.is_packed else sizes[kind]
        for name in needed:
            if getattr(self, name) is None:
                raise ValueError(f"{name} is missing; family {self.family!r} is of {kind}: give {' and '.join(needed)}")
        for name in sizes[other]:
            if getattr(self, name) is not None:
                raise ValueError(f"{name} is of {other}, but family {self.family!r} is of {kind}; change one of them")
        at_least(self, 1, *needed, "pixels", "repeats")
        within(self, 0, 1, "mean")
        if not 0 < self.std <= 1:
            raise ValueError(f"std is {self.std}; it must be above 0 and at most 1")
        within(self, 0, 2**63 - 1, "seed")
        if self.is_tokens and (self.mix or self.repeats > 1):
            raise ValueError(f"mix and repeats are of pictures, but family {self.family!r} is of tokens")
        if self.mix and self.augment == "none":
            raise ValueError('mix is as a recipe says, but augment is "none"; name one, such as augment = "deit"')
        if self.source is PictureSource.GENERATOR and (self.is_tokens or self.is_packed):
            raise ValueError(f"source is {self.source.value!r}, but family {self.family!r} has no generator")
        if self.cache is PictureCache.NODE and self.source is not PictureSource.GENERATOR:
            raise ValueError(f"cache is for pictures that are drawn, but source is {self.source.value!r}")

    @property
    def is_tokens(self) -> bool:
        """Whether samples are tokens, with ``sequence`` and ``vocabulary``, or pictures, with ``classes``."""
        return self.family == "tokens"

    @property
    def is_packed(self) -> bool:
        """Whether pictures come from elsewhere and have no generator."""
        return self.family == "images"
