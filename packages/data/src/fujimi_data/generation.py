"""Makes a dataset: draws pictures on all cores and writes them in order."""

import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from fujimi_core.atomic import only_writer
from fujimi_core.errors import FujimiError, PluginError
from fujimi_core.offers import Generator, Option
from numpy.typing import NDArray

from fujimi_data.making import claim, is_whole, make_directory
from fujimi_data.part import Part
from fujimi_data.shards.codecs import Codec, encode_picture
from fujimi_data.shards.manifest import Manifest, Recipe, save, shard_name
from fujimi_data.shards.sample import encode
from fujimi_data.shards.writer import Encoded, write_shard, write_tables

# Samples that a worker draws at a time.
_CHUNK = 8
# What a shard has at most where nobody says how many samples: large enough that files are few (inodes), small enough
# that what a crash loses is little
_SHARD_NBYTES = 250 * 10**6
_TRIALS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """What a run made.

    Args:
        manifest: Of the dataset; it has shards if all of them are there, also those of other parts.
        drawn: Samples that this run drew; the others lay there from an earlier run.
        missing: Shards that other parts have not made yet.
    """

    manifest: Manifest
    drawn: int
    missing: int = 0


def recipe_of(
    generator: Generator,
    *,
    classes: int,
    instances: int,
    pixels: int,
    seed: int = 0,
    options: Mapping[str, Option] | None = None,
    codec: Codec = Codec.PNG,
    samples_per_shard: int | None = None,
) -> Recipe:
    """What a dataset is made of, checked and complete.

    Args:
        generator: Family of the pictures.
        classes: Number of classes.
        instances: Pictures a class.
        pixels: Side of a picture, 16 to 16,384.
        seed: Of the family's random numbers.
        options: Of the family; those that are not given have their defaults.
        codec: How pictures are written.
        samples_per_shard: Samples in all shards but the last, which may have fewer; by default as many as give shards
            of at most 250 MB, judged by some of the pictures.

    Raises:
        ValueError: If a number is out of range, or an option is not the family's.
        PluginError: If the generator fails or gives something else than a picture.
    """
    recipe = Recipe(
        family=generator.name,
        options=generator.complete(options or {}),
        seed=seed,
        classes=classes,
        instances=instances,
        pixels=pixels,
        codec=codec,
        samples_per_shard=1 if samples_per_shard is None else samples_per_shard,
    )
    if samples_per_shard is not None:
        return recipe
    numbers = _trial_numbers(recipe)
    nbytes = sum(entry.nbytes for entry, _ in trial(generator, recipe, numbers)) / len(numbers)
    return replace(recipe, samples_per_shard=max(1, min(recipe.samples, _round(_SHARD_NBYTES / nbytes))))


def _trial_numbers(recipe: Recipe) -> list[int]:
    """Numbers of some samples: of the first classes, since some programs find no class without those before it."""
    spread = {(trial % recipe.classes, trial * recipe.instances // _TRIALS) for trial in range(_TRIALS)}
    return sorted(instance * recipe.classes + category for category, instance in spread)


def trial(generator: Generator, recipe: Recipe, numbers: Sequence[int]) -> Iterator[Encoded]:
    """Draw some samples, to see how large they are."""
    return (_encoded(generator, recipe, number) for number in numbers)


def generate(
    generator: Generator,
    recipe: Recipe,
    out: Path,
    *,
    part: Part = Part(),  # noqa: B008 (frozen)
    workers: int | None = None,
    progress: Callable[[int], None] = lambda samples: None,
) -> Generation:
    """Draw all pictures of a dataset and write them to shards.

    The bytes depend on neither the number of workers nor of parts nor on interruptions: run again, it keeps the shards
    that are whole and makes the others. Whoever makes the last shard finishes the dataset.

    Args:
        generator: Family of the pictures.
        recipe: What `recipe_of` gives.
        out: Directory; made if it is missing. It holds this dataset and nothing else.
        part: Which shards to make, where several processes make one dataset.
        workers: Threads that draw; by default one for each core this process may use. A generator that holds the
            interpreter's lock, as pure Python does, draws on one core whatever their number.
        progress: Called with the number of samples that are newly in place.

    Raises:
        ValueError: If a number is out of range.
        FujimiError: If the directory holds something else, or another process makes the same part.
        PluginError: If the generator fails or gives something else than a picture.
        RunError: If the disk is full.
    """
    workers = len(os.sched_getaffinity(0)) if workers is None else workers
    if workers < 1:
        raise ValueError(f"workers is {workers}; at least 1 is needed")
    make_directory(out)
    with only_writer(out, part=None if part.of == 1 else part.name):
        shards = recipe.shards if part.of > 1 else 0
        claim(out, Manifest(recipe=recipe), shards=shards, writer=part.name)
        drawn = _make_shards(generator, recipe, out, part=part, workers=workers, progress=progress)
        made = _finish(recipe, out, part=part, drawn=drawn)
    if not made.missing:
        _remove_leftovers(out)
    return made


def _make_shards(
    generator: Generator, recipe: Recipe, out: Path, *, part: Part, workers: int, progress: Callable[[int], None]
) -> int:
    """Make the shards of a part that are not there.

    Returns:
        How many samples were drawn.
    """
    drawn = 0
    with ThreadPoolExecutor(workers, thread_name_prefix="fujimi-data") as pool:
        for position in part.shards(recipe.shards):
            path = out / shard_name(position)
            numbers = recipe.numbers(position)
            if is_whole(path, recipe.digest, [recipe.key(number) for number in numbers]):
                progress(len(numbers))
                continue
            encoded = _in_order(pool, generator, recipe, numbers, ahead=2 * workers, progress=progress)
            write_shard(path, encoded, recipe=recipe.digest, label_nbytes=recipe.label_nbytes, writer=part.name)
            drawn += len(numbers)
    return drawn


def _finish(recipe: Recipe, out: Path, *, part: Part, drawn: int) -> Generation:
    """Write what the dataset is made of and the tables of its shards, if all shards are there."""
    paths = [out / shard_name(position) for position in range(recipe.shards)]
    missing = sum(not path.exists() for path in paths)
    if missing:
        return Generation(manifest=Manifest(recipe=recipe), drawn=drawn, missing=missing)
    manifest = Manifest(recipe=recipe, shards=write_tables(paths, out, recipe=recipe.digest, writer=part.name))
    save(manifest, out, writer=part.name)
    return Generation(manifest=manifest, drawn=drawn)


def _remove_leftovers(out: Path) -> None:
    """Remove what killed processes left, unless others still write: the last of them does."""
    with suppress(FujimiError), only_writer(out):
        for path in out.glob(".*.partial"):
            path.unlink(missing_ok=True)


def _in_order(
    pool: ThreadPoolExecutor,
    generator: Generator,
    recipe: Recipe,
    numbers: range,
    *,
    ahead: int,
    progress: Callable[[int], None],
) -> Iterator[Encoded]:
    """Draw samples on all threads, and give them in order; at most ``ahead`` chunks wait."""
    pending: deque[Future[list[Encoded]]] = deque()
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


def _draw(generator: Generator, recipe: Recipe, numbers: range) -> list[Encoded]:
    return [_encoded(generator, recipe, number) for number in numbers]


def _encoded(generator: Generator, recipe: Recipe, number: int) -> Encoded:
    category, _ = recipe.picture(number)
    content = encode_picture(recipe.codec, draw(generator, recipe, number))
    files = {recipe.codec.extension: content, "cls": b"%d" % category}
    return encode(recipe.key(number), files, label=category)


def draw(generator: Generator, recipe: Recipe, number: int) -> NDArray[np.uint8]:
    """Draw a picture of a dataset.

    Raises:
        PluginError: If the generator fails or gives something else than a picture.
    """
    category, instance = recipe.picture(number)
    where = f"generator {generator.name!r}, class {category}, instance {instance}"
    try:
        picture = generator.render(
            seed=recipe.seed, category=category, instance=instance, pixels=recipe.pixels, **recipe.options
        )
    except FujimiError:
        raise
    except Exception as wrong:
        raise PluginError(f"{where}: {type(wrong).__name__}: {wrong}") from wrong
    shape = (recipe.pixels, recipe.pixels)
    if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8 or picture.shape not in (shape, (*shape, 3)):
        given = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
        raise PluginError(f"{where}: gave {given}; a picture is uint8 {shape}, or with 3 colours {(*shape, 3)}")
    return picture


def _round(number: float) -> int:
    """Largest 1, 2 or 5 times a power of ten that is not above a number of at least 1."""
    power = int(10 ** math.floor(math.log10(max(1.0, number))))
    return next(factor * power for factor in (5, 2, 1) if factor * power <= max(1.0, number))
