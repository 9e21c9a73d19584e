"""What can be wrong with a dataset on disk, and where."""

from dataclasses import dataclass

from fujimi_core.errors import FujimiError


@dataclass(frozen=True, slots=True, kw_only=True)
class Damage:
    """One thing that is wrong, worded for people.

    Args:
        shard: Path of the shard, or of the dataset.
        what: What is wrong and, where there is one, the way out.
        sample: Key of the sample.
        offset: Where in the file [B].
    """

    shard: str
    what: str
    sample: str | None = None
    offset: int | None = None

    def __str__(self) -> str:
        place = [f"sample {self.sample}"] if self.sample is not None else []
        place += [f"at byte {self.offset}"] if self.offset is not None else []
        return ": ".join([self.shard, *([" ".join(place)] if place else []), self.what])


class MissingPackageError(FujimiError, ImportError):
    """What was asked for takes a package that is not installed; the message says how to install it."""


class ShardError(FujimiError):
    """A dataset is damaged, incomplete or none; the message names shard, sample and byte.

    Args:
        damage: What is wrong.
    """

    def __init__(self, damage: Damage) -> None:
        super().__init__(damage)
        self.damage = damage
