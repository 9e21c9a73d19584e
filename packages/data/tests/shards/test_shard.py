import shutil
import subprocess
import tarfile
from pathlib import Path

import numpy as np
import pytest
from fujimi_data.errors import ShardError
from fujimi_data.shards import png, tar
from fujimi_data.shards.sample import decode, encode
from fujimi_data.shards.shard import Shard
from fujimi_data.shards.writer import write_shard
from numpy.typing import NDArray

RECIPE = "0123456789abcdef"


def picture(number: int) -> NDArray[np.uint8]:
    return np.random.default_rng(number).integers(0, 256, (16, 16), dtype=np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    encoded = [encode(f"{n:05d}_00000", {"png": png.encode(picture(n)), "cls": b"%d" % n}, label=n) for n in range(3)]
    write_shard(tmp_path / "a.tar", encoded, recipe=RECIPE, label_nbytes=1)
    return tmp_path / "a.tar"


def read_all(path: Path) -> None:
    shard = Shard(path, recipe=RECIPE)
    for number in range(len(shard)):
        shard.read_bytes(number)


def test_samples_are_those_that_were_written(path: Path) -> None:
    shard = Shard(path, recipe=RECIPE)
    assert len(shard) == 3
    for number in range(3):
        read = decode(memoryview(shard.read_bytes(number)), label=int(shard.index.rows["label"][number]))
        assert (read.label, read.key) == (number, f"{number:05d}_00000")
        assert np.array_equal(read.picture, picture(number))


def test_every_flipped_bit_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        with pytest.raises(ShardError, match=r"a\.tar"):
            read_all(path)


def test_every_cut_is_noticed(path: Path) -> None:
    whole = path.read_bytes()
    for nbytes in [*range(0, len(whole), tar.BLOCK), *range(1, len(whole), 97), len(whole) - 1]:
        path.write_bytes(whole[:nbytes])
        with pytest.raises(ShardError, match="at byte"):
            read_all(path)


def test_a_longer_file_is_noticed(path: Path) -> None:
    path.write_bytes(path.read_bytes() + bytes(tar.BLOCK))
    with pytest.raises(ShardError):
        read_all(path)


@pytest.mark.parametrize("inside", [0, 100, 513, 1400])
def test_damage_names_shard_sample_and_byte(path: Path, inside: int) -> None:
    offset = int(Shard(path, recipe=RECIPE).index.rows["offset"][1]) * tar.BLOCK
    damaged = bytearray(path.read_bytes())
    damaged[offset + inside] ^= 1
    path.write_bytes(damaged)
    shard = Shard(path, recipe=RECIPE)
    shard.read_bytes(0)
    with pytest.raises(ShardError, match=rf"a\.tar: sample 00001_00000 at byte {offset}: .* does not match"):
        shard.read_bytes(1)
    shard.read_bytes(2)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match=r"b\.tar: missing"):
        Shard(tmp_path / "b.tar", recipe=RECIPE)


def test_a_tar_file_of_others_is_no_shard(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "b.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("empty"))
    with pytest.raises(ShardError, match="is no shard"):
        Shard(tmp_path / "b.tar", recipe=RECIPE)


def test_a_shard_of_another_dataset_is_refused(path: Path) -> None:
    with pytest.raises(ShardError, match="belongs to another dataset"):
        Shard(path, recipe="another")


def test_tarfile_reads_shards(path: Path) -> None:
    with tarfile.open(path) as archive:
        names = archive.getnames()
        label = archive.extractfile("00002_00000.cls")
        assert label is not None
        assert label.read() == b"2"
    assert names == [f"{n:05d}_00000.{suffix}" for n in range(3) for suffix in ("png", "cls")] + ["__index__"]


@pytest.mark.skipif(shutil.which("tar") is None, reason="needs the program tar")
def test_the_program_tar_unpacks_shards(path: Path) -> None:
    subprocess.run(["tar", "-xf", path.name], cwd=path.parent, check=True)
    assert (path.parent / "00001_00000.cls").read_bytes() == b"1"
