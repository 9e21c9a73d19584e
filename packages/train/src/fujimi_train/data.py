"""The pictures of a job, read in the job's order."""

import contextlib
from pathlib import Path

import torch
from fujimi_core.errors import JobError
from fujimi_core.job import DataSpec, Job
from fujimi_data.dataset import ShardDataset
from fujimi_data.errors import ShardError
from fujimi_data.loader import Batch, BatchLoader
from fujimi_data.manifest import load
from fujimi_parallel.world import World


def open_loader(job: Job, world: World, *, first_step: int) -> BatchLoader:
    """Open the job's shards for this rank.

    Args:
        job: Names the directory, and what is in it.
        world: The ranks that share a batch.
        first_step: Step to begin with, from 0.

    Raises:
        JobError: If there is no dataset, it holds something else than the job says, or it is damaged.
    """
    spec = job.data
    try:
        dataset = ShardDataset(spec.path)
    except ShardError as wrong:
        raise _unusable(job, wrong) from None
    recipe = dataset.manifest.recipe
    for key in ("family", "classes", "instances", "pixels"):
        found, wanted = getattr(recipe, key), getattr(spec, key)
        if found != wanted:
            raise JobError(
                f"job {job.name!r}: data.{key} is {wanted}, but {spec.path} holds {found}; change the job, or let "
                f"data.path be a new directory and make it: {_command(spec, out='DIR')}"
            )
    return BatchLoader(
        dataset,
        seed=job.seed,
        global_batch=job.global_batch_on(world.size),
        rank=world.rank,
        world_size=world.size,
        step=first_step,
        threads=torch.get_num_threads(),
    )


def next_batch(loader: BatchLoader, job: Job) -> Batch:
    """Read the next batch of a job.

    Raises:
        JobError: If a sample is damaged.
    """
    try:
        return next(loader)
    except ShardError as wrong:
        raise _unusable(job, wrong) from None


def _unusable(job: Job, wrong: ShardError) -> JobError:
    return JobError(
        f"job {job.name!r}: data.path: {wrong}. To make or mend it: {_command(job.data, out=job.data.path)}"
    )


def _command(spec: DataSpec, *, out: str) -> str:
    """What makes the dataset; of one that is there, keeps what is whole and makes the rest."""
    command = (
        f"fujimi data generate {spec.family} --classes {spec.classes} --instances {spec.instances} "
        f"--pixels {spec.pixels} --out {out}"
    )
    if out == spec.path:
        with contextlib.suppress(ShardError):
            recipe = load(Path(out)).recipe
            command += f" --seed {recipe.seed} --samples-per-shard {recipe.samples_per_shard}"
    return command
