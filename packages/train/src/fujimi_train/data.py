"""The samples of a job, pictures or tokens, read in the job's order."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from fujimi_core.errors import JobError
from fujimi_core.job import DataSpec, Job
from fujimi_data.errors import ShardError
from fujimi_data.loader import Batch, BatchLoader
from fujimi_data.shards.dataset import ShardDataset
from fujimi_data.shards.manifest import FILE, load
from fujimi_data.tokens import TokenBatch, TokenDataset, TokenLoader

Loader = BatchLoader | TokenLoader


def open_loader(job: Job, *, reader: int, readers: int, first_step: int) -> Loader:
    """Open what the job reads.

    Args:
        job: Names the directory or file, and what is in it.
        reader: Which part of each batch to read, from 0; ranks that work on the same samples are one reader.
        readers: That share a batch.
        first_step: Step to begin with, from 0.

    Raises:
        JobError: If there is no dataset, it holds something else than the job says, or it is damaged.
    """
    order: dict[str, Any] = {
        "seed": job.seed,
        "global_batch": job.batch_on(readers) * readers,
        "rank": reader,
        "world_size": readers,
        "step": first_step,
    }
    spec = job.data
    try:
        if spec.sequence is not None and spec.vocabulary is not None:
            tokens = TokenDataset(spec.path, sequence=spec.sequence, vocabulary=spec.vocabulary)
            return TokenLoader(tokens, **order)
        return BatchLoader(_pictures(job), **order, threads=torch.get_num_threads())
    except ShardError as wrong:
        raise _unusable(job, wrong) from None


def next_batch(loader: Iterator[Batch | TokenBatch], job: Job) -> Batch | TokenBatch:
    """Read the next batch of a job.

    Raises:
        JobError: If a sample is damaged.
    """
    try:
        return next(loader)
    except ShardError as wrong:
        raise _unusable(job, wrong) from None


def _pictures(job: Job) -> ShardDataset:
    """The job's shards, if they hold what it says."""
    spec = job.data
    dataset = ShardDataset(spec.path)
    recipe = dataset.manifest.origin
    for key in ("family", "classes", "instances", "pixels"):
        found, wanted = getattr(recipe, key), getattr(spec, key)
        if found != wanted:
            raise JobError(
                f"job {job.name!r}: data.{key} is {wanted}, but {spec.path} holds {found}; change the job, or let "
                f"data.path be a new directory and make it: {_command(spec, out='DIR')}"
            )
    return dataset


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
    command = (
        f"fujimi data generate {spec.family} --classes {spec.classes} --instances {spec.instances} "
        f"--pixels {spec.pixels} --out {out}"
    )
    if out == spec.path:
        with contextlib.suppress(ShardError):
            recipe = load(Path(out) / FILE).recipe
            if recipe is None:
                return command
            command += f" --seed {recipe.seed} --samples-per-shard {recipe.samples_per_shard}"
    return command
