"""Makes a dataset: draws pictures on all cores and writes them in order."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from fujimi_core.atomic import only_writer
from fujimi_core.errors import FujimiError, PluginError
from fujimi_core.offers import Generator
from fujimi_core.records import to_table

from fujimi_data import sample
from fujimi_data.errors import ShardError
from fujimi_data.manifest import FILE, Manifest, Recipe, ShardEntry, load, save
from fujimi_data.sample import Sample, SampleEntry
from fujimi_data.shard import Shard
from fujimi_data.shard_writer import write_shard
from fujimi_data.verification import damages_of

# Samples that a worker draws at a time.
_CHUNK = 8
_Encoded = tuple[SampleEntry, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What a run made.

    Args:
        manifest: Of the dataset, which is complete.
        drawn: Samples that this run drew; the others lay there from an earlier run.
    """

    manifest: Manifest
    drawn: int


def generate(
    generator: Generator,
    out: Path,
    *,
    classes: int,
    instances: int,
    pixels: int,
    seed: int = 0,
    samples_per_shard: int = 10_000,
    workers: int | None = None,
    progress: Callable[[int], None] = lambda samples: None,
) -> Generation:
    """Draw all pictures of a dataset and write them to shards.

    The bytes depend on neither the number of workers nor on interruptions: run again, it keeps the shards that are
    whole and makes the others.

    Args:
        generator: Family of the pictures.
        out: Directory; made if it is missing. It holds this dataset and nothing else.
        classes: Number of classes.
        instances: Pictures a class.
        pixels: Side of a picture, 16 to 16,384.
        seed: Of the family's random numbers.
        samples_per_shard: Samples in all shards but the last, which may have fewer.
        workers: Threads that draw; by default one for each core this process may use. A generator that holds the
            interpreter's lock, as pure Python does, draws on one core whatever their number.
        progress: Called with the number of samples that are newly in place.

    Raises:
        ValueError: If a number is out of range.
        FujimiError: If the directory holds something else, or another process writes there.
        PluginError: If the generator fails or gives something else than a picture.
        RunError: If the disk is full.
    """
    recipe = Recipe(
        family=generator.name,
        seed=seed,
        classes=classes,
        instances=instances,
        pixels=pixels,
        samples_per_shard=samples_per_shard,
    )
    workers = len(os.sched_getaffinity(0)) if workers is None else workers
    if workers < 1:
        raise ValueError(f"workers is {workers}; at least 1 is needed")
    _make(out)
    with only_writer(out):
        return _generate(generator, recipe, out, workers=workers, progress=progress)


def _generate(
    generator: Generator, recipe: Recipe, out: Path, *, workers: int, progress: Callable[[int], None]
) -> Generation:
    _claim(out, recipe)
    entries: list[ShardEntry] = []
    drawn = 0
    with ThreadPoolExecutor(workers, thread_name_prefix="fujimi-data") as pool:
        for position in range(recipe.shards):
            path = out / recipe.shard_name(position)
            numbers = recipe.numbers(position)
            entry = _whole(path, recipe, numbers)
            if entry is None:
                encoded = _in_order(pool, generator, recipe, numbers, ahead=2 * workers, progress=progress)
                entry = write_shard(path, encoded, recipe=recipe.digest)
                drawn += entry.samples
            else:
                progress(entry.samples)
            entries.append(entry)
    manifest = Manifest(recipe=recipe, shards=tuple(entries))
    save(manifest, out)
    return Generation(manifest=manifest, drawn=drawn)


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as wrong:
        reason = "it is a file" if isinstance(wrong, FileExistsError) else wrong.strerror
        raise FujimiError(f"cannot make the directory {out}: {reason}") from None
    if not os.access(out, os.W_OK | os.X_OK):
        raise FujimiError(f"cannot write into {out}: Permission denied")


def _claim(out: Path, recipe: Recipe) -> None:
    """Make sure that the directory is for this dataset."""
    if (out / FILE).exists():
        there, wanted = to_table(load(out).recipe), to_table(recipe)
        different = [f"{key} {there[key]} (not {wanted[key]})" for key in wanted if there[key] != wanted[key]]
        if different:
            raise FujimiError(f"{out} holds another dataset, with {', '.join(different)}: choose another directory")
        return
    others = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    if others:
        raise FujimiError(f"{out} holds other files, for example {others[0]}: choose an empty or new directory")
    save(Manifest(recipe=recipe), out)


def _whole(path: Path, recipe: Recipe, numbers: range) -> ShardEntry | None:
    """The shard that lies there already, if each of its bytes is right."""
    if not path.exists():
        return None
    try:
        shard = Shard(path, recipe=recipe.digest)
    except ShardError:
        return None
    entry = shard.entry
    whole = shard.index.rows["key"].tolist() == [recipe.key(number).encode() for number in numbers]
    return entry if not any(damages_of(shard)) and whole else None


def _in_order(
    pool: ThreadPoolExecutor,
    generator: Generator,
    recipe: Recipe,
    numbers: range,
    *,
    ahead: int,
    progress: Callable[[int], None],
) -> Iterator[_Encoded]:
    """Draw samples on all threads, and give them in order; at most ``ahead`` chunks wait."""
    pending: deque[Future[list[_Encoded]]] = deque()
    try:
        for first in range(0, len(numbers), _CHUNK):
            pending.append(pool.submit(_draw, generator, recipe, numbers[first : first + _CHUNK]))
            if len(pending) >= ahead:
                chunk = pending.popleft().result()
                yield from chunk
                progress(len(chunk))
        while pending:
            chunk = pending.popleft().result()
            yield from chunk
            progress(len(chunk))
    finally:
        for future in pending:
            future.cancel()


def _draw(generator: Generator, recipe: Recipe, numbers: range) -> list[_Encoded]:
    return [sample.encode(_sample(generator, recipe, number)) for number in numbers]


def _sample(generator: Generator, recipe: Recipe, number: int) -> Sample:
    category, instance = recipe.picture(number)
    where = f"generator {generator.name!r}, class {category}, instance {instance}"
    try:
        picture = generator.render(seed=recipe.seed, category=category, instance=instance, pixels=recipe.pixels)
    except FujimiError:
        raise
    except Exception as wrong:
        raise PluginError(f"{where}: {type(wrong).__name__}: {wrong}") from wrong
    shape = (recipe.pixels, recipe.pixels)
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.shape != shape:
        given = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise PluginError(f"{where}: gave {given}; a picture is uint8 {shape}")
    return Sample(picture=picture, label=category, key=recipe.key(number))
