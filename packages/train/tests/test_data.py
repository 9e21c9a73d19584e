import shlex

import numpy as np
import pytest
from fujimi_core.cli import main
from fujimi_core.errors import JobError
from fujimi_core.mesh import Mesh
from fujimi_parallel.world import World
from fujimi_train.data import next_batch, open_loader


def world(rank=0, ranks=1):
    return World(rank=rank, mesh=Mesh.of(dp=ranks))


def flip(path, offset):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def read_all(job):
    with open_loader(job, world(), first_step=0) as loader:
        for _ in range(job.data.classes * job.data.instances // 4 + 1):
            next_batch(loader, job)


def error_of(job):
    """What reading the first epoch complains about."""
    with pytest.raises(JobError) as caught:
        read_all(job)
    return str(caught.value)


def command_in(message):
    return shlex.split(message[message.rindex("fujimi data generate") :])[1:]


def test_batches_of_two_ranks_are_the_halves_of_one(make_job, dataset):
    job = make_job(train={"global_batch": 6, "batch_per_rank": None})
    batches = []
    for each in (world(), world(0, 2), world(1, 2)):
        with open_loader(job, each, first_step=2) as loader:
            batches.append(next_batch(loader, job))
    whole, *halves = batches
    # which sample is in which half is the order's business
    found = np.concatenate([half.pictures for half in halves])
    assert sorted(picture.tobytes() for picture in found) == sorted(picture.tobytes() for picture in whole.pictures)


def test_missing_dataset_is_answered_with_the_command_that_makes_it(make_job, plugins):
    job = make_job()
    message = error_of(job)
    assert f"job 'test': data.path: {job.data.path}: no dataset" in message
    assert main(command_in(message), plugins) == 0
    with open_loader(job, world(), first_step=0) as loader:
        assert next_batch(loader, job).pictures.shape == (4, 16, 16)


@pytest.mark.parametrize(
    ("key", "value"), [("classes", 4), ("instances", 11), ("pixels", 32), ("family", "acme-moire")]
)
def test_dataset_of_other_pictures_is_refused_and_a_new_directory_proposed(make_job, dataset, key, value):
    message = error_of(make_job(data={key: value}))
    assert f"job 'test': data.{key} is {value}, but {dataset} holds " in message
    assert message.endswith("--out DIR")
    assert str(value) in command_in(message)


def cut(shard):
    shard.write_bytes(shard.read_bytes()[:-700])


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (cut, "it was cut or replaced"),
        (lambda shard: shard.unlink(), "missing"),
        (lambda shard: flip(shard, 3), "sample 00002_00006 at byte 0: the checksum"),  # its header
        (lambda shard: flip(shard, 600), "sample 00002_00006 at byte 0: the checksum"),  # its picture
    ],
)
def test_damage_is_placed_and_answered_with_the_command_that_mends_it(make_job, dataset, plugins, damage, what):
    job, shard = make_job(), dataset / "shard-00001.tar"
    before = shard.read_bytes()
    damage(shard)
    message = error_of(job)
    assert f"{shard}: " in message
    assert what in message
    assert main(command_in(message), plugins) == 0
    assert shard.read_bytes() == before


def test_batch_that_does_not_divide_is_refused(make_job, dataset):
    job = make_job(train={"global_batch": 8, "batch_per_rank": None})
    with pytest.raises(JobError, match="does not divide into 3 ranks"):
        open_loader(job, world(1, 3), first_step=0)
