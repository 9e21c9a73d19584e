"""The samples of a job, pictures or tokens, read in the job's order."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from fujimi_core.data_spec import DataSpec, PictureCache, PictureSource
from fujimi_core.errors import JobError, unknown
from fujimi_core.job import Job
from fujimi_core.offers import Generator
from fujimi_data.augment.recipes import RECIPES
from fujimi_data.errors import ShardError
from fujimi_data.generated import GeneratedDataset
from fujimi_data.generation import recipe_of
from fujimi_data.loader import Batch, BatchLoader
from fujimi_data.node_cache import NodeCache
from fujimi_data.shards.codecs import Codec
from fujimi_data.shards.dataset import ShardDataset
from fujimi_data.shards.manifest import FILE, Manifest, load
from fujimi_data.source import Source
from fujimi_data.tokens import TokenBatch, TokenDataset, TokenLoader

Loader = BatchLoader | TokenLoader


def open_loader(job: Job, *, reader: int, readers: int, first_step: int, generator: Generator | None = None) -> Loader:
    """Open what the job reads.

    Args:
        job: Names the directory or file, and what is in it.
        reader: Which part of each batch to read, from 0; ranks that work on the same samples are one reader.
        readers: That share a batch.
        first_step: Step to begin with, from 0.
        generator: Of the job's family, if pictures are to be drawn.

    Raises:
        JobError: If there is no dataset, it holds something else than the job says, or it is damaged.
    """
    sharing: dict[str, Any] = {
        "seed": job.seed,
        "global_batch": job.batch_on(readers) * readers,
        "rank": reader,
        "world_size": readers,
        "step": first_step,
        "order": job.data.order,
    }
    spec = job.data
    try:
        if spec.sequence is not None and spec.vocabulary is not None:
            tokens = TokenDataset(spec.path, sequence=spec.sequence, vocabulary=spec.vocabulary)
            return TokenLoader(tokens, **sharing)
        source = _shards(job) if generator is None else _drawn(job, generator)
        return BatchLoader(
            source,
            **sharing,
            threads=torch.get_num_threads(),
            repeats=spec.repeats,
            **_augmented(job),
        )
    except ShardError as wrong:
        raise _unusable(job, wrong) from None
    except ValueError as wrong:
        raise JobError(f"job {job.name!r}: {wrong}") from None


def next_batch(loader: Iterator[Batch | TokenBatch], job: Job) -> Batch | TokenBatch:
    """Read the next batch of a job.

    Raises:
        JobError: If a sample is damaged, or is not what the job says.
    """
    try:
        batch = next(loader)
    except ShardError as wrong:
        raise _unusable(job, wrong) from None
    except ValueError as wrong:
        raise JobError(f"job {job.name!r}: data.path {job.data.path}: {wrong}; see data.augment") from None
    if isinstance(batch, Batch):
        _check(batch, job)
    return batch


def _check(batch: Batch, job: Job) -> None:
    """Refuse pictures or classes that the network would stumble over."""
    spec = job.data
    origin = spec.path if spec.source is PictureSource.SHARDS else f"family {spec.family}"
    *channels, rows, columns = batch.pictures.shape[1:]
    if (rows, columns) != (spec.pixels, spec.pixels):
        raise JobError(
            f"job {job.name!r}: data.pixels is {spec.pixels}, but {origin} has pictures of {rows} x {columns}; "
            "change it, or let data.augment name a recipe that brings them to that size"
        )
    if bool(channels) != spec.colour:
        found = "three channels" if channels else "one channel"
        raise JobError(
            f"job {job.name!r}: data.colour is {str(spec.colour).lower()}, but {origin} has pictures of {found}; "
            "change it, or pack other pictures"
        )
    classes = spec.classes or 0
    if batch.labels.ndim == 1 and batch.labels.max(initial=0) >= classes:
        raise JobError(
            f"job {job.name!r}: data.classes is {classes}, but {origin} has a picture of class "
            f"{batch.labels.max()}; classes count from 0"
        )


def _augmented(job: Job) -> dict[str, Any]:
    """What the job's pictures go through, as a loader takes it; labels are smoothed by the loss."""
    spec = job.data
    if spec.augment == "none":
        return {}
    if spec.augment not in RECIPES:
        raise JobError(f"job {job.name!r}: {unknown('data.augment', spec.augment, ['none', *RECIPES])}")
    recipe = RECIPES[spec.augment]
    augmentation = replace(recipe.augmentation, pixels=spec.pixels)
    if not spec.mix:
        return {"augmentation": augmentation}
    if recipe.mixing is None:
        mixing = ", ".join(name for name, each in RECIPES.items() if each.mixing)
        raise JobError(
            f"job {job.name!r}: data.mix: recipe {spec.augment!r} mixes no pictures; data.augment may be {mixing}"
        )
    return {
        "augmentation": augmentation,
        "mixing": replace(recipe.mixing, smoothing=0.0),
        "classes": spec.classes,
    }


def _drawn(job: Job, generator: Generator) -> Source:
    """The job's pictures, drawn when they are read."""
    spec = job.data
    if spec.classes is None or spec.instances is None:
        raise JobError(f"job {job.name!r}: data.classes and data.instances say how many pictures there are: give both")
    try:
        recipe = recipe_of(
            generator,
            classes=spec.classes,
            instances=spec.instances,
            pixels=spec.pixels,
            seed=spec.seed,
            options=_options(spec, generator),
            samples_per_shard=spec.classes * spec.instances,
        )
    except ValueError as wrong:
        raise JobError(f"job {job.name!r}: data: {wrong}") from None
    drawn = GeneratedDataset(generator, recipe)
    return NodeCache(drawn, _cache_directory(job)) if spec.cache is PictureCache.NODE else drawn


def _options(spec: DataSpec, generator: Generator) -> dict[str, bool | int | float | str]:
    colour = {"colour": True} if spec.colour and "colour" in generator.options else {}
    return {**spec.options, **colour}


def _cache_directory(job: Job) -> Path:
    """Directory that ``data.cache_dir`` names."""
    variables = {"TMPDIR": tempfile.gettempdir(), **os.environ}
    named = job.data.cache_dir
    for name, value in variables.items():
        named = named.replace(f"${name}", value)
    if "$" in named:
        raise JobError(f"job {job.name!r}: data.cache_dir {job.data.cache_dir!r} names a variable that is not set")
    return Path(named) / "fujimi"


def _shards(job: Job) -> ShardDataset:
    """The job's shards, if they hold what it says."""
    spec = job.data
    dataset = ShardDataset(spec.path, cache=_cache_directory(job) if "://" in spec.path else None)
    for key, wanted, found in _differences(spec, dataset.manifest):
        way_out = (
            "change the job, or give it other pictures"
            if spec.is_packed
            else f"change the job, or let data.path be a new directory and make it: {_command(spec, out='DIR')}"
        )
        raise JobError(f"job {job.name!r}: data.{key} is {wanted}, but {spec.path} holds {found}; {way_out}")
    return dataset


def _differences(spec: DataSpec, manifest: Manifest) -> Iterator[tuple[str, object, object]]:
    """Keys of ``[data]`` of which a dataset holds something else: what is wanted, and what is found."""
    recipe, packing = manifest.recipe, manifest.packing
    if recipe is None or packing is not None:
        if not spec.is_packed:
            yield "family", spec.family, "packed pictures, family images"
        elif packing is not None and packing.classes and len(packing.classes) != spec.classes:
            yield "classes", spec.classes, len(packing.classes)
        return
    keys = ("family", "classes", "instances", *(("pixels",) if spec.augment == "none" else ()))
    found = {key: getattr(recipe, key) for key in keys}
    found["colour"] = recipe.options.get("colour", False)
    for key, value in found.items():
        if value != getattr(spec, key):
            yield key, getattr(spec, key), value
    for key, wanted in spec.options.items():
        if recipe.options.get(key) != wanted:
            yield f"options.{key}", wanted, recipe.options.get(key)


def _unusable(job: Job, wrong: ShardError) -> JobError:
    if job.data.is_tokens:
        way_out = (
            f"Give a file of little-endian tokens below {job.data.vocabulary}, of 16 bits if its name ends in .u16 or "
            f"the vocabulary has at most {2**16}, else of 32 (.u32)"
        )
    else:
        way_out = f"To make or mend it: {_command(job.data, out=job.data.path)}"
    return JobError(f"job {job.name!r}: data.path: {wrong}. {way_out}")


def _command(spec: DataSpec, *, out: str) -> str:
    """What makes the dataset; of one that is there, keeps what is whole and makes the rest."""
    if spec.is_packed:
        return f"fujimi data pack SRC --out {out}"
    options = {**spec.options, **({"colour": True} if spec.colour else {})}
    command = (
        f"fujimi data generate {spec.family} --classes {spec.classes} --instances {spec.instances} "
        f"--pixels {spec.pixels} --out {out}"
        + "".join(f" --option {key}={str(value).lower()}" for key, value in options.items())
    )
    if out == spec.path:
        with contextlib.suppress(ShardError):
            recipe = load(Path(out) / FILE).recipe
            if recipe is not None:
                command += f" --seed {recipe.seed} --samples-per-shard {recipe.samples_per_shard}"
                command += f" --codec {recipe.codec}" if recipe.codec != Codec.PNG else ""
    return command
