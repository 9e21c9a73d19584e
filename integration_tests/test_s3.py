"""Shards in a bucket, of a server on this machine that speaks S3."""

from pathlib import Path

import boto3
import numpy as np
import pytest
from fujimi_core.plugins import Plugins
from fujimi_data.errors import ShardError
from fujimi_data.generation import generate, recipe_of
from fujimi_data.shards.dataset import ShardDataset
from moto.server import ThreadedMotoServer


@pytest.fixture(scope="module")
def bucket():
    """A bucket ``data``."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environ = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environ.items():
            patch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="data")
        yield client
    server.stop()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Twelve pictures in three shards."""
    generator = Plugins.installed().generator("visualatom")
    recipe = recipe_of(generator, classes=4, instances=3, pixels=32, seed=0, samples_per_shard=5)
    generate(generator, recipe, tmp_path / "dataset")
    return tmp_path / "dataset"


def test_dataset_in_a_bucket_is_read_shard_by_shard(bucket, directory, tmp_path):
    for file in directory.iterdir():
        bucket.upload_file(str(file), "data", f"atoms/{file.name}")
    here, there = ShardDataset(directory), ShardDataset("s3://data/atoms", cache=tmp_path / "cache")
    assert np.array_equal(there[6].picture, here[6].picture)
    assert [path.name for path in (tmp_path / "cache").rglob("*.tar")] == ["shard-00001.tar"]
    pairs = zip(there, here, strict=True)
    assert all(np.array_equal(one.picture, other.picture) and one.label == other.label for one, other in pairs)


def test_what_is_not_in_a_bucket_is_named(bucket, directory, tmp_path):
    with pytest.raises(ShardError, match=r"s3://data/part/dataset\.json: missing"):
        ShardDataset("s3://data/part", cache=tmp_path / "cache")
    with pytest.raises(ShardError, match=r"s3://none/atoms/dataset\.json: cannot be fetched: .*bucket does not exist"):
        ShardDataset("s3://none/atoms", cache=tmp_path / "cache")
    for name in ("dataset.json", "dataset.index"):
        bucket.upload_file(str(directory / name), "data", f"part/{name}")
    with pytest.raises(ShardError, match=r"s3://data/part/shard-00002\.tar: missing"):
        ShardDataset("s3://data/part", cache=tmp_path / "cache")[11]
