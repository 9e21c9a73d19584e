import os
import pickle
import resource
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fujimi_core.offers import Generator
from fujimi_data.errors import ShardError
from fujimi_data.shards import files
from fujimi_data.shards.dataset import ShardDataset

from ..conftest import flip, make


def labels(dataset: ShardDataset) -> list[int | None]:
    return [sample.label for sample in dataset]


def test_samples_are_the_pictures_of_the_generator(directory: Path, generator: Generator) -> None:
    dataset = ShardDataset(directory)
    assert len(dataset) == 12
    for number in range(12):
        sample = dataset[number]
        category, instance = number % 4, number // 4
        drawn = generator.render(seed=7, category=category, instance=instance, pixels=16)
        assert np.array_equal(sample.picture, drawn)
        assert (sample.label, sample.key) == (category, f"{category:05d}_{instance:05d}")


@pytest.mark.parametrize("number", [-1, 12, 10**9])
def test_numbers_outside_are_refused(directory: Path, number: int) -> None:
    with pytest.raises(IndexError, match=f"sample {number} of 12"):
        ShardDataset(directory)[number]


def test_threads_may_share_a_dataset(directory: Path) -> None:
    dataset = ShardDataset(directory)
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda number: dataset[number % 12].label, range(600)))
    assert read == [number % 12 % 4 for number in range(600)]


def test_a_pickled_dataset_reads_the_same(directory: Path) -> None:
    dataset = ShardDataset(directory)
    expected = labels(dataset)
    assert labels(pickle.loads(pickle.dumps(dataset))) == expected


def test_a_forked_process_reads_the_same(directory: Path) -> None:
    dataset = ShardDataset(directory)
    expected = labels(dataset)
    child = os.fork()
    if child == 0:
        os._exit(0 if labels(dataset) == expected else 1)
    assert labels(dataset) == expected
    assert os.waitpid(child, 0)[1] == 0


def test_a_closed_dataset_opens_again(directory: Path) -> None:
    dataset = ShardDataset(directory)
    expected = labels(dataset)
    dataset.close()
    assert labels(dataset) == expected


def test_more_shards_than_are_kept_open_can_be_read(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda which: (2, 2))
    monkeypatch.setattr(files, "_KEPT", set())
    dataset = ShardDataset(directory)
    assert labels(dataset) == [0, 1, 2, 3] * 3
    assert [dataset[number].label for number in range(12)] == [0, 1, 2, 3] * 3
    held = {Path(os.path.realpath(descriptor)).name for descriptor in Path("/proc/self/fd").iterdir()}
    assert held & {f"shard-0000{n}.tar" for n in range(3)} == {"shard-00000.tar"}


MANY_SHARDS = """
import os, resource, sys
import numpy as np
from fujimi_core.errors import RunError
from fujimi_data import BatchLoader, ShardDataset

resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80))
first, second = (ShardDataset(sys.argv[1], on_error="skip") for _ in range(2))
for dataset in (first, second):
    assert [sample.label for sample in dataset] == [number % 4 for number in range(60)]
    with BatchLoader(dataset, seed=0, global_batch=60, threads=4) as loader:
        for _ in range(3):
            assert sorted(next(loader).labels) == sorted(number % 4 for number in range(60))
    pieces = dataset.read(np.arange(60)[::-1])
    assert pieces.labels.tolist() == [number % 4 for number in range(60)][::-1]
    assert bytes(pieces[7]) == bytes(dataset.read(np.array([52]))[0])
    assert dataset.skipped == []
first.close()
taken = []
try:
    while True:
        taken.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
try:
    first[0]
except RunError as error:
    print(error)
"""


def test_no_sample_is_lost_where_shards_are_more_than_files_may_be_open(tmp_path: Path, generator: Generator) -> None:
    make(generator, tmp_path / "many", instances=15, samples_per_shard=1)
    command = [sys.executable, "-c", MANY_SHARDS, str(tmp_path / "many")]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert "cannot be opened: Too many open files; allow more" in done.stdout


def test_a_shard_that_comes_back_is_read(directory: Path) -> None:
    dataset = ShardDataset(directory, on_error="skip")
    path = directory / "shard-00001.tar"
    path.rename(directory / "elsewhere")
    assert labels(dataset) == [0, 1, 2, 3, 0, 2, 3]
    (directory / "elsewhere").rename(path)
    assert labels(dataset) == [0, 1, 2, 3] * 3


def test_another_working_directory_changes_nothing(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(directory.parent)
    dataset = ShardDataset(directory.name, on_error="skip")
    monkeypatch.chdir("/")
    assert labels(dataset) == [0, 1, 2, 3] * 3


def test_a_missing_shard_is_named_at_once(directory: Path) -> None:
    (directory / "shard-00001.tar").unlink()
    with pytest.raises(ShardError, match=r"shard-00001\.tar: missing"):
        ShardDataset(directory)


def test_a_cut_shard_is_named_at_once(directory: Path) -> None:
    path = directory / "shard-00002.tar"
    os.truncate(path, 1024)
    with pytest.raises(ShardError, match=r"shard-00002\.tar: at byte 1024: has 1024 bytes"):
        ShardDataset(directory)


def test_a_shard_of_another_seed_is_noticed(directory: Path, tmp_path: Path, generator: Generator) -> None:
    make(generator, tmp_path / "b", seed=8)
    shutil.copy(tmp_path / "b" / "shard-00001.tar", directory)
    dataset = ShardDataset(directory)
    assert dataset[4].label == 0
    with pytest.raises(ShardError, match=r"shard-00001\.tar: was replaced or damaged"):
        dataset[5]


def test_exchanged_shards_are_noticed(directory: Path) -> None:
    first, second = directory / "shard-00000.tar", directory / "shard-00001.tar"
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    with pytest.raises(ShardError, match=r"shard-00000\.tar: was replaced"):
        ShardDataset(directory)[0]


def test_labels_come_from_the_tables_wherever_they_are_whole(directory: Path) -> None:
    for path in directory.glob("*.tar"):
        flip(path, 700)  # of a sample: it is not read
    assert ShardDataset(directory).labels().tolist() == [0, 1, 2, 3] * 3
    (directory / "dataset.index").unlink()
    assert ShardDataset(directory).labels().tolist() == [0, 1, 2, 3] * 3
    flip(directory / "shard-00001.tar", (directory / "shard-00001.tar").stat().st_size - 1800)
    with pytest.raises(ShardError, match=r"shard-00001\.tar: .*index"):
        ShardDataset(directory).labels()
