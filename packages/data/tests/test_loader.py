import threading
from pathlib import Path

import numpy as np
import pytest
from fujimi_data.errors import ShardError
from fujimi_data.loader import BatchLoader
from fujimi_data.order import batch_indices
from fujimi_data.shards.dataset import ShardDataset


def reading_threads() -> int:
    return sum(thread.name.startswith("fujimi-data") for thread in threading.enumerate())


@pytest.mark.parametrize("ahead", [0, 1, 3])
@pytest.mark.parametrize("threads", [1, 3])
def test_batches_are_the_samples_of_the_order(directory: Path, ahead: int, threads: int) -> None:
    dataset = ShardDataset(directory)
    sharing = {"seed": 5, "global_batch": 10, "rank": 1, "world_size": 2}
    with BatchLoader(dataset, **sharing, step=4, ahead=ahead, threads=threads) as loader:
        for step in range(4, 12):
            assert loader.step == step
            pictures, labels = next(loader)
            indices = batch_indices(samples=12, step=step, **sharing)
            assert np.array_equal(labels, [dataset[int(i)].label for i in indices])
            assert np.array_equal(pictures, [dataset[int(i)].picture for i in indices])
            assert (pictures.dtype, labels.dtype) == (np.uint8, np.int64)


def test_a_batch_may_be_larger_than_the_dataset(directory: Path) -> None:
    with BatchLoader(ShardDataset(directory), seed=0, global_batch=30) as loader:
        assert sorted(next(loader).labels[:24].tolist()) == sorted([0, 1, 2, 3] * 6)


def test_an_error_in_a_thread_reaches_the_caller(directory: Path) -> None:
    path = directory / "shard-00001.tar"
    content = bytearray(path.read_bytes())
    content[600] ^= 1
    path.write_bytes(content)
    with (
        BatchLoader(ShardDataset(directory), seed=0, global_batch=12) as loader,
        pytest.raises(ShardError, match=r"shard-00001\.tar: sample 00001_00001 at byte 0"),
    ):
        next(loader)
    assert reading_threads() == 0
    assert list(loader) == []


def test_closing_ends_threads_and_iteration(directory: Path) -> None:
    loader = BatchLoader(ShardDataset(directory), seed=0, global_batch=4, threads=2)
    next(loader)
    assert reading_threads() == 2
    loader.close()
    loader.close()
    assert reading_threads() == 0
    assert list(loader) == []


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"world_size": 5}, "leaves nothing to some of 5 ranks"),
        ({"rank": 1}, "rank 1 of 1"),
        ({"threads": 0}, "threads 0"),
        ({"ahead": -1}, "ahead -1"),
        ({"step": -1}, "step -1"),
    ],
)
def test_numbers_out_of_range_are_refused_at_once(directory: Path, changes: dict[str, int], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        BatchLoader(ShardDataset(directory), **{"seed": 0, "global_batch": 4, **changes})
    assert reading_threads() == 0
