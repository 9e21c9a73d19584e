import shlex

import numpy as np
import pytest
from fujimi_core.cli import main
from fujimi_core.errors import JobError
from fujimi_data.loader import Batch
from fujimi_data.order import batch_indices
from fujimi_data.packing import pack
from fujimi_data.shards import png
from fujimi_train.data import next_batch, open_loader

ALONE = {"reader": 0, "readers": 1}


TOKENS = {
    "data": {
        "family": "tokens",
        "sequence": 5,
        "vocabulary": 50,
        "classes": None,
        "instances": None,
        "pixels": None,
    }
}


@pytest.fixture
def tokens(tmp_path):
    """What the file of tokens holds that `make_job` names: 20 sequences of 5."""
    tokens = np.random.default_rng(0).integers(0, 50, 101)
    tokens.astype("<u2").tofile(tmp_path / "data")
    return tokens


def flip(path, offset):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


def read_all(job):
    with open_loader(job, **ALONE, first_step=0) as loader:
        for _ in range(job.data.classes * job.data.instances // 4 + 1):
            next_batch(loader, job)


def error_of(job):
    """What reading the first epoch complains about."""
    with pytest.raises(JobError) as caught:
        read_all(job)
    return str(caught.value)


def command_in(message):
    return shlex.split(message[message.rindex("fujimi data generate") :])[1:]


def test_batches_of_two_readers_are_the_halves_of_one(make_job, dataset):
    job = make_job(train={"global_batch": 6, "batch_per_rank": None})
    batches = []
    for reader, readers in ((0, 1), (0, 2), (1, 2)):
        with open_loader(job, reader=reader, readers=readers, first_step=2) as loader:
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
    with open_loader(job, **ALONE, first_step=0) as loader:
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
    with pytest.raises(JobError, match="does not divide into 3 data-parallel ranks"):
        open_loader(job, reader=1, readers=3, first_step=0)


def test_tokens_are_read_in_the_jobs_order_at_any_step(make_job, tokens):
    job = make_job(**TOKENS, train={"global_batch": 4, "batch_per_rank": None})
    with open_loader(job, reader=1, readers=2, first_step=3) as loader:
        inputs, labels = next_batch(loader, job)
        assert loader.step == 4
    numbers = batch_indices(samples=20, seed=job.seed, step=3, global_batch=4, rank=1, world_size=2)
    assert inputs.tolist() == [tokens[5 * number : 5 * number + 5].tolist() for number in numbers]
    assert labels.tolist() == [tokens[5 * number + 1 : 5 * number + 6].tolist() for number in numbers]


def test_missing_tokens_are_answered_with_what_is_needed(make_job):
    job = make_job(**TOKENS)
    with pytest.raises(JobError) as caught:
        open_loader(job, **ALONE, first_step=0)
    assert str(caught.value) == (
        f"job 'test': data.path: {job.data.path}: no such file of tokens. Give a file of little-endian tokens below "
        f"50, of 16 bits if its name ends in .u16 or the vocabulary has at most 65536, else of 32 (.u32)"
    )


def test_token_outside_of_the_vocabulary_is_a_fault_of_the_job(make_job, tokens):
    job = make_job(data={**TOKENS["data"], "vocabulary": int(tokens.max())}, train={"batch_per_rank": 20})
    with open_loader(job, **ALONE, first_step=0) as loader, pytest.raises(JobError, match="but the last of a vocab"):
        next_batch(loader, job)


def test_pictures_that_are_drawn_are_those_of_the_shards(make_job, dataset, plugins, tmp_path):
    job = make_job()
    drawn = make_job(data={"source": "generator", "seed": 5, "path": "nowhere"})
    kept = make_job(data={"source": "generator", "seed": 5, "cache": "node", "cache_dir": str(tmp_path / "node")})
    generator = plugins.generator("visualatom")
    with (
        open_loader(job, **ALONE, first_step=1) as read,
        open_loader(drawn, **ALONE, first_step=1, generator=generator) as other,
        open_loader(kept, **ALONE, first_step=1, generator=generator) as cached,
    ):
        for _ in range(10):
            expected = next_batch(read, job)
            for loader in (other, cached):
                batch = next_batch(loader, job)
                assert np.array_equal(batch.pictures, expected.pictures)
                assert np.array_equal(batch.labels, expected.labels)
    assert list((tmp_path / "node").rglob("cache-*.tar"))


def test_order_of_lanes_reads_the_same_pictures(make_job, dataset):
    seen = []
    for order in ("shuffle", "lanes"):
        job = make_job(train={"global_batch": 30, "batch_per_rank": None}, data={"order": order})
        with open_loader(job, **ALONE, first_step=0) as loader:
            seen.append(sorted(picture.tobytes() for picture in next_batch(loader, job).pictures))
    assert seen[0] == seen[1]


def test_dataset_in_other_colours_or_options_is_refused_with_the_command_that_makes_it(make_job, dataset):
    assert "data.colour is True, but" in (message := error_of(make_job(data={"colour": True}, model={"channels": 3})))
    assert command_in(message)[-2:] == ["--option", "colour=true"]
    message = error_of(make_job(data={"options": {"wings": 2}}))
    assert "data.options.wings is 2, but" in message
    assert command_in(message)[-2:] == ["--option", "wings=2"]


def test_options_that_the_generator_does_not_have_are_refused(make_job, plugins):
    job = make_job(data={"source": "generator", "options": {"wings": 2}})
    with pytest.raises(JobError, match=r"job 'test': data: Unknown option of visualatom: 'wings'"):
        open_loader(job, **ALONE, first_step=0, generator=plugins.generator("visualatom"))


def test_directory_for_the_cache_that_is_not_set_is_named(make_job, plugins):
    job = make_job(data={"source": "generator", "cache": "node", "cache_dir": "$NOT_SET_ANYWHERE/x"})
    with pytest.raises(JobError, match=r"data\.cache_dir '\$NOT_SET_ANYWHERE/x' names a variable that is not set"):
        open_loader(job, **ALONE, first_step=0, generator=plugins.generator("visualatom"))


def test_packed_pictures_are_read(make_job, tmp_path):
    for number in range(6):
        folder = tmp_path / "folder" / ("ant", "bee", "cat")[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(png.encode(np.full((16, 16, 3), number, dtype=np.uint8)))
    pack(tmp_path / "folder", tmp_path / "data")
    images = {"family": "images", "instances": None, "colour": True}
    channels = {"model": {"channels": 3}}
    job = make_job(data=images, **channels, train={"global_batch": 6, "batch_per_rank": None})
    with open_loader(job, **ALONE, first_step=0) as loader:
        pictures, labels = next_batch(loader, job)
    assert pictures.shape == (6, 3, 16, 16)
    assert [picture.max() % 3 for picture in pictures] == labels.tolist()
    assert "data.classes is 4, but" in error_of(make_job(data={**images, "classes": 4, "instances": 1}, **channels))
    assert "data.family is visualatom, but" in error_of(make_job())


def test_augmented_pictures_have_the_size_of_the_job_and_depend_on_seed_and_place_alone(make_job, dataset):
    job = make_job(data={"augment": "deit", "pixels": 32}, train={"global_batch": 6, "batch_per_rank": None})
    batches = []
    for reader, readers in ((0, 1), (0, 2), (1, 2)):
        with open_loader(job, reader=reader, readers=readers, first_step=2) as loader:
            batches.append(next_batch(loader, job).pictures)
    assert batches[0].shape == (6, 32, 32)
    assert np.array_equal(batches[0], np.concatenate(batches[1:]))
    with pytest.raises(JobError, match=r"job 'test': Unknown data\.augment: 'diet'\. Known: .*Did you mean 'deit'"):
        open_loader(make_job(data={"augment": "diet"}), **ALONE, first_step=0)


def test_mixed_pictures_have_shares_of_classes_as_labels_whatever_the_readers(make_job, dataset):
    train = {"global_batch": 12, "batch_per_rank": None, "label_smoothing": 0.1}
    job = make_job(data={"augment": "deit", "mix": True, "repeats": 3, "pixels": 32}, train=train)
    batches = []
    for reader, readers in ((0, 1), (0, 3), (1, 3), (2, 3)):
        with open_loader(job, reader=reader, readers=readers, first_step=2) as loader:
            batches.append(next_batch(loader, job))
    pictures, labels = batches[0]
    assert np.array_equal(pictures, np.concatenate([batch.pictures for batch in batches[1:]]))
    assert np.array_equal(labels, np.concatenate([batch.labels for batch in batches[1:]]))
    assert (labels.shape, labels.dtype) == ((12, 3), np.float32)
    np.testing.assert_allclose(labels.sum(axis=1), 1, rtol=1e-6)
    # smoothing is the loss's: a class that neither picture has gets nothing
    assert (labels == 0).any(axis=1).all()
    plain = make_job(data={"augment": "deit", "repeats": 3}, train=train)
    with open_loader(plain, **ALONE, first_step=2) as loader:
        once = next_batch(loader, plain).labels
    assert once.tolist() == once[:4].tolist() * 3
    assert all(shares[label] > 0 for shares, label in zip(labels, once, strict=True))


@pytest.mark.parametrize(
    ("data", "batch", "match"),
    [
        ({"augment": "cifar", "mix": True}, 6, "recipe 'cifar' mixes no pictures; data.augment may be deit, fdsl-pre"),
        (
            {"augment": "deit", "mix": True},
            3,
            "data.mix mixes pairs, but each rank has 3 samples .*: 4",
        ),
        ({"repeats": 4}, 6, "data.repeats = 4 does not divide the 6 samples .*; the nearest that works: 8"),
    ],
)
def test_batches_that_cannot_be_mixed_or_repeated_are_refused(make_job, dataset, data, batch, match):
    job = make_job(data=data, train={"global_batch": batch, "batch_per_rank": None})
    with pytest.raises(JobError, match=f"job 'test': .*{match}"):
        open_loader(job, **ALONE, first_step=0)


@pytest.fixture
def pack_pictures(tmp_path):
    """Packs pictures of some shapes, the number of each of which is its class."""

    def make(*shapes):
        for number, shape in enumerate(shapes):
            folder = tmp_path / "folder" / f"{number:02d}"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}.png").write_bytes(png.encode(np.full(shape, number, dtype=np.uint8)))
        pack(tmp_path / "folder", tmp_path / "data")

    return make


@pytest.mark.parametrize(
    ("shapes", "data", "match"),
    [
        ([(16, 16), (16, 16)], {"pixels": 8}, "data.pixels is 8, but .* has pictures of 16 x 16; .*data.augment"),
        ([(16, 12, 3)] * 2, {"colour": True}, "data.pixels is 16, but .* has pictures of 16 x 12"),
        ([(16, 16, 3)] * 2, {}, "data.colour is false, but .* has pictures of three channels"),
        ([(16, 16)] * 2, {"colour": True}, "data.colour is true, but .* has pictures of one channel"),
        ([(16, 16), (12, 16)], {}, "pictures of different shapes make no batch; give an augmentation .* data.augment"),
        ([(16, 16), (16, 16, 3)], {}, "data.colour is false, but .* has pictures of three channels"),
    ],
)
def test_pictures_that_are_not_what_the_job_says_are_refused(make_job, pack_pictures, shapes, data, match):
    pack_pictures(*shapes)
    channels = {"model": {"channels": 3}} if data.get("colour") else {}
    images = {"family": "images", "instances": None, "classes": len(shapes), **data}
    job = make_job(data=images, train={"global_batch": 4, "batch_per_rank": None}, **channels)
    with open_loader(job, **ALONE, first_step=0) as loader, pytest.raises(JobError, match=f"job 'test': .*{match}"):
        next_batch(loader, job)


def test_class_that_the_network_does_not_have_is_refused(make_job, dataset, monkeypatch):
    job = make_job(train={"global_batch": 30, "batch_per_rank": None})
    batch = Batch(pictures=np.zeros((2, 16, 16), dtype=np.uint8), labels=np.array([0, 3]))
    with pytest.raises(JobError, match=r"data.classes is 3, but .* has a picture of class 3; classes count from 0"):
        next_batch(iter([batch]), job)
