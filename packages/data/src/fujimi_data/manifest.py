"""What a dataset is made of: the file dataset.json beside its shards."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from fujimi_core.atomic import atomic_file
from fujimi_core.checks import at_least, within
from fujimi_core.errors import FujimiError
from fujimi_core.records import build, to_table

from fujimi_data.errors import Damage, ShardError
from fujimi_data.sample import PIXELS

#: Name of the file.
FILE = "dataset.json"
_VERSION = 1
_MOST = 2**32 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that the content of a dataset depends on.

    Args:
        family: Generator of the pictures.
        seed: Of their random numbers.
        classes: Number of classes.
        instances: Pictures a class.
        pixels: Side of a picture.
        samples_per_shard: Of all shards but the last, which may have fewer.
    """

    family: str
    seed: int
    classes: int
    instances: int
    pixels: int
    samples_per_shard: int

    def __post_init__(self) -> None:
        within(self, 0, 2**63 - 1, "seed")
        within(self, 1, _MOST, "classes", "instances")
        within(self, *PIXELS, "pixels")
        at_least(self, 1, "samples_per_shard")

    @property
    def samples(self) -> int:
        """Pictures in all."""
        return self.classes * self.instances

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.samples // self.samples_per_shard)

    @property
    def digest(self) -> str:
        """Short name of the recipe; shards carry it."""
        return hashlib.sha256(json.dumps(to_table(self), sort_keys=True).encode()).hexdigest()[:16]

    def numbers(self, shard: int) -> range:
        """Numbers of the samples in a shard."""
        first = shard * self.samples_per_shard
        return range(first, min(first + self.samples_per_shard, self.samples))

    def picture(self, number: int) -> tuple[int, int]:
        """Class and instance of a sample: classes take turns, so that each shard has pictures of all."""
        return number % self.classes, number // self.classes

    def key(self, number: int) -> str:
        """Name of a sample in its shard."""
        category, instance = self.picture(number)
        return f"{category:05d}_{instance:05d}"

    @staticmethod
    def shard_name(shard: int) -> str:
        """File name of a shard."""
        return f"shard-{shard:05d}.tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardEntry:
    """One shard.

    Args:
        name: Of its file.
        samples: In it.
        nbytes: Length of the file.
        checksum: Of its index, which has those of its samples.
    """

    name: str
    samples: int
    nbytes: int
    checksum: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Recipe and shards of a dataset; no shards as long as it is being made."""

    format: str = "fujimi-dataset"
    version: int = _VERSION
    recipe: Recipe
    shards: tuple[ShardEntry, ...] = ()

    def __post_init__(self) -> None:
        if self.format != "fujimi-dataset" or self.version != _VERSION:
            raise ValueError(f"{self.format} version {self.version}; this program reads fujimi-dataset {_VERSION}")
        counted = sum(shard.samples for shard in self.shards)
        if self.shards and counted != self.recipe.samples:
            raise ValueError(f"the shards have {counted} samples, the recipe {self.recipe.samples}")

    @property
    def nbytes(self) -> int:
        """Length of all shards."""
        return sum(shard.nbytes for shard in self.shards)


def save(manifest: Manifest, directory: Path) -> None:
    """Write ``dataset.json``, whole or not at all.

    Raises:
        RunError: If it cannot be written.
    """
    with atomic_file(directory / FILE) as file:
        file.write(json.dumps(to_table(manifest), indent=1).encode() + b"\n")


def load(directory: Path) -> Manifest:
    """Read ``dataset.json``.

    Raises:
        ShardError: If the directory is no dataset or the file is damaged.
    """
    path = directory / FILE
    try:
        table = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        what = f"no dataset: it has no {FILE}; 'fujimi data generate' makes one"
        raise ShardError(Damage(shard=str(directory), what=what)) from None
    except (OSError, ValueError) as wrong:
        raise ShardError(Damage(shard=str(path), what=f"cannot be read: {wrong}")) from None
    try:
        return build(Manifest, table, where=str(path), error=FujimiError)
    except FujimiError as wrong:
        what = str(wrong).removeprefix(f"{path}: ")
        raise ShardError(Damage(shard=str(path), what=what)) from None


def load_complete(directory: Path) -> Manifest:
    """Read ``dataset.json`` of a dataset that has all its shards.

    Raises:
        ShardError: As `load`, and if the dataset is not finished.
    """
    manifest = load(directory)
    if not manifest.shards:
        what = "not finished: run the same 'fujimi data generate' again, it keeps the shards that are whole"
        raise ShardError(Damage(shard=str(directory), what=what))
    return manifest
