"""What a job reads: bytes, files, and how long its ranks wait for them."""

import math
from dataclasses import dataclass

from fujimi_core.data_spec import PictureSource
from fujimi_core.facilities import Storage
from fujimi_core.job import Job
from fujimi_core.plan import Plan

from fujimi_sim.run.storage_times import read_local_s, read_s, stage_s

#: Pictures that ``fujimi data generate`` puts into a shard, unless it is told otherwise.
_SAMPLES_PER_SHARD = 10_000
#: A tar member for the picture and one for its class: two headers and a block.
_TAR_BYTES = 3 * 512
#: Of tokens below this, one takes 2 bytes, else 4.
_SHORT_TOKENS = 2**16


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """What a job reads.

    Args:
        samples: That it has.
        sample_bytes: Of one; of a picture not compressed, which it is at most.
        shards: Files in which they are.
    """

    samples: int
    sample_bytes: int
    shards: int

    @property
    def nbytes(self) -> int:
        """Of all samples."""
        return self.samples * self.sample_bytes


#: Metadata operations of a reader for each shard: its length is looked up, and it is opened.
_LOOKS_PER_SHARD = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How long ranks take to read.

    Args:
        stage_s: To copy the dataset to every node; 0 if it is read from where it is.
        stage_one_s: To copy it to one more node.
        open_s: To find the files, before the first step.
        step_s: For the samples of one step, ahead of it and beside it.
    """

    stage_s: float
    stage_one_s: float
    open_s: float
    step_s: float


def dataset_of(job: Job, samples_per_step: int) -> Dataset:
    """What a job reads, by its ``[data]``; of tokens as many as it needs to see none twice.

    Pictures that are drawn when they are read take no reading; what drawing takes of the cores is not counted.

    Args:
        job: Whose data.
        samples_per_step: Of all ranks together.
    """
    data = job.data
    if data.sequence is not None and data.vocabulary is not None:
        token_bytes = 2 if data.vocabulary <= _SHORT_TOKENS else 4
        samples = job.train.steps * samples_per_step
        return Dataset(samples=samples, sample_bytes=data.sequence * token_bytes, shards=1)
    samples = (data.classes or 0) * (data.instances or 1)
    if data.source is PictureSource.GENERATOR:
        return Dataset(samples=samples, sample_bytes=0, shards=0)
    sample_bytes = data.pixels**2 * (3 if data.colour else 1) + _TAR_BYTES
    return Dataset(samples=samples, sample_bytes=sample_bytes, shards=math.ceil(samples / _SAMPLES_PER_SHARD))


def reading_of(
    dataset: Dataset, plan: Plan, storage: Storage, *, nodes: int, devices: int, staged: bool, file_a_sample: bool
) -> Reading:
    """How long the ranks of a plan take to read.

    Ranks with the first or the last stage of a pipeline read; all that work on the same samples read the same.

    Args:
        dataset: What they read.
        plan: Who they are.
        storage: Where it is.
        nodes: On which they are.
        devices: Of each node, one a rank.
        staged: Whether it is copied to every node's local storage first.
        file_a_sample: Whether each sample is a file, instead of part of a shard.
    """
    copies = plan.extent("tp") * plan.extent("sp") * min(plan.extent("pp"), 2)
    readers = plan.extent("dp") * copies
    reading_nodes = min(nodes, math.ceil(readers / devices))
    samples = plan.global_batch * copies
    nbytes = samples * dataset.sample_bytes
    if staged and storage.local is not None:
        files = dataset.samples if file_a_sample else dataset.shards
        return Reading(
            stage_s=stage_s(storage, storage.local, nodes, nbytes=dataset.nbytes, files=files),
            stage_one_s=stage_s(storage, storage.local, 1, nbytes=dataset.nbytes, files=files),
            open_s=0.0,
            step_s=read_local_s(storage, storage.local, reading_nodes, nbytes=nbytes),
        )
    step_s = read_s(storage, reading_nodes, nbytes=nbytes, files=samples if file_a_sample else 0)
    opened = 0 if file_a_sample else readers * dataset.shards * _LOOKS_PER_SHARD
    return Reading(stage_s=0.0, stage_one_s=0.0, open_s=opened / storage.open_rate_hz, step_s=step_s)
