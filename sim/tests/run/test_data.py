"""What a job reads, counted by hand."""

from dataclasses import replace
from typing import Any

import pytest
from fujimi_core.facilities import LocalStorage, Storage
from fujimi_core.job import Job, from_table
from fujimi_core.plan import plan_of
from fujimi_sim.run.data import Dataset, Reading, dataset_of, reading_of

LOCAL = LocalStorage(node_bytes=1e12, io_node_read_bytes_per_s=400.0, io_node_write_bytes_per_s=80.0)
STORAGE = Storage(
    nodes_per_io_node=2,
    io_node_read_bytes_per_s=100.0,
    io_node_write_bytes_per_s=50.0,
    read_bytes_per_s=1e9,
    write_bytes_per_s=1e9,
    open_rate_hz=10.0,
    create_rate_hz=5.0,
    local=LOCAL,
)
DATASET = Dataset(samples=1_000, sample_bytes=25, shards=3)


def job_of(data: dict[str, Any], parallel: dict[str, Any] | None = None) -> Job:
    return from_table(
        {
            "name": "tiny",
            "model": {"name": "beads"},
            "data": data,
            "train": {"steps": 100, "global_batch": 64},
            "parallel": parallel or {},
        }
    )


PICTURES = {"family": "rods", "classes": 250, "instances": 100, "pixels": 32}


def test_pictures_are_bytes_for_pixels_in_tar_members_of_shards_of_10000() -> None:
    assert dataset_of(job_of(PICTURES), 64) == Dataset(samples=25_000, sample_bytes=32 * 32 + 3 * 512, shards=3)


@pytest.mark.parametrize(("vocabulary", "token_bytes"), [(48_588, 2), (65_536, 2), (65_537, 4)])
def test_tokens_are_read_once_each(vocabulary: int, token_bytes: int) -> None:
    job = job_of({"family": "tokens", "sequence": 128, "vocabulary": vocabulary})
    assert dataset_of(job, 64) == Dataset(samples=6_400, sample_bytes=128 * token_bytes, shards=1)


def read(parallel: dict[str, Any], nodes: int, *, staged: bool = False, file_a_sample: bool = False) -> Reading:
    plan = plan_of(job_of(PICTURES, parallel), nodes)
    return reading_of(DATASET, plan, STORAGE, nodes=nodes, devices=1, staged=staged, file_a_sample=file_a_sample)


def test_each_data_parallel_rank_reads_its_part_of_the_batch_and_opens_all_shards() -> None:
    reading = read({}, 8)
    assert reading.step_s == 64 * 25 / (4 * 100), "8 nodes read through 4 I/O nodes"
    assert reading.open_s == 8 * 3 * 2 / 10, "a look and an opening each"
    assert (reading.stage_s, reading.stage_one_s) == (0.0, 0.0)


def test_one_file_a_sample_opens_each_of_the_batch() -> None:
    assert read({}, 8, file_a_sample=True).step_s == pytest.approx(read({}, 8).step_s + 64 / 10)


def test_tensor_parallel_ranks_read_the_same_and_inner_stages_nothing() -> None:
    reading = read({"tensor": 2, "pipeline": 4, "microbatch": 1}, 8)
    # one group; first and last stage of two ranks: 4 nodes read all 64 samples
    assert reading.step_s == 4 * 64 * 25 / (2 * 100)
    assert reading.open_s == 4 * 3 * 2 / 10


def test_staged_data_are_copied_once_and_opened_at_no_cost_to_others() -> None:
    reading = read({}, 8, staged=True)
    nbytes = 1_000 * 25
    assert reading.stage_s == pytest.approx(max(2 * nbytes / 80, 2 * nbytes / 100 + 8 * 3 / 10))
    assert reading.stage_one_s == pytest.approx(max(nbytes / 80, nbytes / 100 + 3 / 10))
    assert reading.step_s == 64 * 25 / (4 * 400)
    assert reading.open_s == 0.0


def test_staging_one_file_a_sample_opens_all_of_them_on_every_node() -> None:
    assert read({}, 8, staged=True, file_a_sample=True).stage_s == pytest.approx(2 * 25_000 / 100 + 8 * 1_000 / 10)


def test_data_are_read_from_where_they_are_if_nodes_have_no_storage_of_their_own() -> None:
    plan = plan_of(job_of(PICTURES), 8)
    shared = replace(STORAGE, local=None)
    found = reading_of(DATASET, plan, shared, nodes=8, devices=1, staged=True, file_a_sample=False)
    assert found == read({}, 8)
