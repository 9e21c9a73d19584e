"""What a dataset is made of: the file dataset.json beside its shards."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fujimi_core.atomic import atomic_file
from fujimi_core.checks import at_least, within
from fujimi_core.errors import FujimiError
from fujimi_core.offers import Option
from fujimi_core.records import build, to_table

from fujimi_data.errors import Damage, ShardError
from fujimi_data.shards import index
from fujimi_data.shards.codecs import Codec

#: Name of the file.
FILE = "dataset.json"
#: Name of the file that has the tables of all shards' indices, one after the other.
INDEX_FILE = "dataset.index"
#: Smallest and largest side of a picture.
PIXELS = (16, 16_384)
_VERSION = 2
_MOST = 2**32 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that the content of a dataset of formula-driven pictures depends on.

    Args:
        family: Generator of the pictures.
        options: Of the family, each with its value.
        seed: Of their random numbers.
        classes: Number of classes.
        instances: Pictures a class.
        pixels: Side of a picture.
        codec: How pictures are written.
        samples_per_shard: Of all shards but the last, which may have fewer.
    """

    family: str
    options: Mapping[str, Option] = field(default_factory=dict)
    seed: int
    classes: int
    instances: int
    pixels: int
    codec: Codec = Codec.PNG
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
    def label_nbytes(self) -> int:
        """Bytes of a label in the index."""
        return index.label_nbytes(self.classes - 1)

    @property
    def digest(self) -> str:
        """Short name of the recipe; shards carry it."""
        return _digest(self)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """Where the samples of a packed dataset come from.

    Args:
        source: ``imagefolder`` or ``webdataset``.
        samples: How many.
        classes: Names of the classes, whose numbers are the labels; empty if samples have no names of classes.
        labels: Whether samples have labels.
        listing: Digest of the keys, extensions and lengths of all files, in order.
        shard_nbytes: Above which a shard takes no further sample.
    """

    source: str
    samples: int
    classes: tuple[str, ...] = ()
    labels: bool
    listing: str
    shard_nbytes: int

    @property
    def label_nbytes(self) -> int:
        """Bytes of a label in the index; 0 if samples have none."""
        if not self.labels:
            return 0
        return index.label_nbytes(len(self.classes) - 1) if self.classes else index.LABEL_NBYTES[-1]

    @property
    def digest(self) -> str:
        """Short name of the packing; shards carry it."""
        return _digest(self)


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
        table: Checksum of the table of its index.
    """

    name: str
    samples: int
    nbytes: int
    checksum: str
    table: str

    def check_length(self, path: Path, nbytes: int) -> None:
        """Compare the length of a file with what it should be.

        Raises:
            ShardError: If it is another.
        """
        if nbytes != self.nbytes:
            what = f"has {nbytes} bytes, the dataset says {self.nbytes}: it was cut or replaced"
            raise ShardError(Damage(shard=str(path), offset=min(nbytes, self.nbytes), what=what))


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a dataset is made of, and its shards; no shards as long as it is being made.

    Args:
        format: What this is.
        version: Of the format.
        recipe: Of formula-driven pictures.
        packing: Of samples from elsewhere.
        shards: In the order of the samples' numbers.
    """

    format: str = "fujimi-dataset"
    version: int = _VERSION
    recipe: Recipe | None = None
    packing: Packing | None = None
    shards: tuple[ShardEntry, ...] = ()

    def __post_init__(self) -> None:
        if self.format != "fujimi-dataset" or self.version != _VERSION:
            raise ValueError(f"{self.format} version {self.version}; this program reads fujimi-dataset {_VERSION}")
        if (self.recipe is None) == (self.packing is None):
            raise ValueError("a dataset has either a recipe or a packing")
        counted = sum(shard.samples for shard in self.shards)
        if self.shards and counted != self.origin.samples:
            raise ValueError(f"the shards have {counted} samples, of {self.origin.samples}")

    @property
    def origin(self) -> Recipe | Packing:
        """The recipe or the packing."""
        origin = self.recipe or self.packing
        assert origin is not None  # __post_init__
        return origin

    @property
    def nbytes(self) -> int:
        """Length of all shards."""
        return sum(shard.nbytes for shard in self.shards)


def save(manifest: Manifest, directory: Path, *, writer: str = "") -> None:
    """Write ``dataset.json``, whole or not at all.

    Args:
        manifest: What to write.
        directory: Of the dataset.
        writer: Tells apart processes that write the same file at the same time.

    Raises:
        RunError: If it cannot be written.
    """
    with atomic_file(directory / FILE, writer=writer) as file:
        file.write(json.dumps(to_table(manifest), indent=1).encode() + b"\n")


def load(path: Path) -> Manifest:
    """Read a ``dataset.json``.

    Raises:
        ShardError: If there is none, or it is damaged.
    """
    try:
        table = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        what = f"no dataset: it has no {FILE}; 'fujimi data generate' and 'fujimi data pack' make one"
        raise ShardError(Damage(shard=str(path.parent), what=what)) from None
    except (OSError, ValueError) as wrong:
        raise ShardError(Damage(shard=str(path), what=f"cannot be read: {wrong}")) from None
    try:
        return build(Manifest, table, where=str(path), error=FujimiError)
    except FujimiError as wrong:
        what = str(wrong).removeprefix(f"{path}: ")
        raise ShardError(Damage(shard=str(path), what=what)) from None


def load_complete(path: Path) -> Manifest:
    """Read the ``dataset.json`` of a dataset that has all its shards.

    Raises:
        ShardError: As `load`, and if the dataset is not finished.
    """
    manifest = load(path)
    if not manifest.shards:
        what = "not finished: run the command that makes it again, it keeps the shards that are whole"
        raise ShardError(Damage(shard=str(path.parent), what=what))
    return manifest


def _digest(record: Any) -> str:
    return hashlib.sha256(json.dumps(to_table(record), sort_keys=True).encode()).hexdigest()[:16]
