"""Packs samples that lie elsewhere, as files or in tar archives, into shards, and unpacks them again."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from fujimi_core.atomic import only_writer
from fujimi_core.errors import FujimiError

from fujimi_data.foreign import LABEL, Found, find, restored
from fujimi_data.making import claim, is_whole, make_directory
from fujimi_data.shards.codecs import Codec, decode, encode_picture, ending, is_picture, is_pixels
from fujimi_data.shards.dataset import ShardDataset
from fujimi_data.shards.manifest import Manifest, Packing, save, shard_name
from fujimi_data.shards.sample import encode
from fujimi_data.shards.writer import Encoded, write_shard, write_tables

#: What a shard has at most, unless somebody says otherwise [B].
SHARD_NBYTES = 250 * 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """What a run packed.

    Args:
        manifest: Of the dataset.
        written: Samples that this run wrote; the others lay there from an earlier run.
    """

    manifest: Manifest
    written: int


def pack(
    source: Path,
    out: Path,
    *,
    shard_nbytes: int = SHARD_NBYTES,
    codec: Codec | None = None,
    progress: Callable[[int], None] = lambda samples: None,
) -> Packed:
    """Pack samples into shards.

    Run again after it was interrupted, it keeps the shards that are whole and makes the others.

    Args:
        source: Directory with a directory of pictures for each class; or tar archive, or directory of them, in which
            files of one sample follow each other.
        out: Directory; made if it is missing. It holds this dataset and nothing else.
        shard_nbytes: Above which a shard takes no further sample; judged by the files as they are found [B].
        codec: To write pictures in, instead of leaving them as they are.
        progress: Called with the number of samples that are newly in place.

    Raises:
        ValueError: If a number is out of range, or a name cannot be written into an archive.
        FujimiError: If there are no samples, an archive is damaged, a picture cannot be read, or the directory holds
            something else.
        RunError: If the disk is full.
    """
    if shard_nbytes < 1:
        raise ValueError(f"shard_nbytes is {shard_nbytes}; at least 1 is needed")
    found = find(source)
    packing = Packing(
        source=found.kind,
        samples=len(found.samples),
        classes=found.classes,
        labels=found.labels,
        listing=_listing(found.samples, codec),
        shard_nbytes=shard_nbytes,
    )
    make_directory(out)
    with only_writer(out):
        claim(out, Manifest(packing=packing))
        written, paths = 0, []
        for position, samples in enumerate(_dealt(found.samples, shard_nbytes)):
            path = out / shard_name(position)
            if not is_whole(path, packing.digest, [sample.key for sample in samples]):
                write_shard(path, _encoded(samples, codec), recipe=packing.digest, label_nbytes=packing.label_nbytes)
                written += len(samples)
            paths.append(path)
            progress(len(samples))
        manifest = Manifest(packing=packing, shards=write_tables(paths, out, recipe=packing.digest))
        save(manifest, out)
    return Packed(manifest=manifest, written=written)


def unpack(directory: Path, out: Path, *, progress: Callable[[int], None] = lambda samples: None) -> int:
    """Write each file of each sample into a directory, under its name.

    What `pack` made of directories of classes becomes these again.

    Args:
        directory: Of the dataset.
        out: Directory; made if it is missing. It must be empty.
        progress: Called with the number of samples that are newly in place.

    Returns:
        How many samples there were.

    Raises:
        ShardError: If the dataset is damaged.
        FujimiError: If the directory is not empty, or a name leads out of it.
    """
    dataset = ShardDataset(directory)
    make_directory(out)
    if any(out.iterdir()):
        raise FujimiError(f"{out} is not empty: choose another directory")
    packing = dataset.manifest.packing
    added = {LABEL} if packing is not None and packing.source == "imagefolder" else set()
    for name in packing.classes if packing is not None else ():
        _inside(out, name).mkdir(exist_ok=True)
    for sample in dataset:
        key = restored(sample.key) if added else sample.key
        for extension, content in sample.files.items():
            if extension not in added:
                path = _inside(out, f"{key}.{extension}")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        progress(1)
    return len(dataset)


def _inside(out: Path, name: str) -> Path:
    path = out / name
    if not path.resolve().is_relative_to(out.resolve()):
        raise FujimiError(f"{name!r} leads out of {out}: not written")
    return path


def _dealt(samples: Sequence[Found], shard_nbytes: int) -> Iterator[list[Found]]:
    """Samples of each shard."""
    shard: list[Found] = []
    nbytes = 0
    for sample in samples:
        more = sum(sample.nbytes.values())
        if shard and nbytes + more > shard_nbytes:
            yield shard
            shard, nbytes = [], 0
        shard.append(sample)
        nbytes += more
    yield shard


def _encoded(samples: Sequence[Found], codec: Codec | None) -> Iterator[Encoded]:
    for sample in samples:
        files = sample.read()
        label = _label(sample, files)
        if sample.label is not None:
            files[LABEL] = b"%d" % sample.label
        yield encode(sample.key, files if codec is None else _recoded(sample.key, files, codec), label=label)


def _label(sample: Found, files: Mapping[str, bytes]) -> int:
    if sample.label is not None or LABEL not in files:
        return sample.label or 0
    try:
        return int(files[LABEL])
    except ValueError:
        raise FujimiError(f"sample {sample.key}: its .{LABEL} file is no number: {files[LABEL][:20]!r}") from None


def _recoded(key: str, files: Mapping[str, bytes], codec: Codec) -> dict[str, bytes]:
    """Content of each file by its extension, pictures in another codec; arrays that are no pictures stay."""
    recoded: dict[str, bytes] = {}
    for extension, content in files.items():
        try:
            pixels = decode(extension, content) if is_picture(extension) else None
        except ValueError as wrong:
            raise FujimiError(f"sample {key}.{extension} is no picture that can be read: {wrong}") from None
        written = extension
        if pixels is not None and is_pixels(pixels):
            written = extension[: -len(ending(extension))] + codec.extension
            content = encode_picture(codec, pixels)
        if written in recoded:
            raise FujimiError(f"sample {key} has two pictures that would be {key}.{written}: remove one")
        recoded[written] = content
    return recoded


def _listing(samples: Sequence[Found], codec: Codec | None) -> str:
    digest = hashlib.sha256(repr(codec and codec.value).encode())
    for sample in samples:
        digest.update(repr((sample.key, sorted(sample.nbytes.items()), sample.label)).encode())
    return digest.hexdigest()[:16]
