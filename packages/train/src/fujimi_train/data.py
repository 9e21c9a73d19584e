"""The pictures of a job, read in the job's order."""

import torch
from fujimi_core.errors import JobError
from fujimi_core.job import Job
from fujimi_data.dataset import ShardDataset
from fujimi_data.errors import ShardError
from fujimi_data.loader import BatchLoader
from fujimi_parallel.world import World


def open_loader(job: Job, world: World, *, first_step: int) -> BatchLoader:
    """Open the job's shards for this rank.

    Args:
        job: Names the directory, and what is in it.
        world: The ranks that share a batch.
        first_step: Step to begin with, from 0.

    Raises:
        JobError: If there is no dataset, or it holds something else than the job says.
        ShardError: If it is damaged.
    """
    spec = job.data
    command = (
        f"fujimi data generate {spec.family} --classes {spec.classes} --instances {spec.instances} "
        f"--pixels {spec.pixels} --out {spec.path}"
    )
    try:
        dataset = ShardDataset(spec.path)
    except ShardError as wrong:
        raise JobError(f"job {job.name!r}: data.path: {wrong}. To make it: {command}") from None
    recipe = dataset.manifest.recipe
    for key in ("family", "classes", "instances", "pixels"):
        found, wanted = getattr(recipe, key), getattr(spec, key)
        if found != wanted:
            raise JobError(
                f"job {job.name!r}: data.{key} is {wanted}, but {spec.path} holds {found}; "
                f"change the job, or make another dataset: {command}"
            )
    return BatchLoader(
        dataset,
        seed=job.seed,
        global_batch=job.batch_on(world.size) * world.size,
        rank=world.rank,
        world_size=world.size,
        step=first_step,
        threads=torch.get_num_threads(),
    )
