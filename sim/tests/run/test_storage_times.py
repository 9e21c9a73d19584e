"""Files of many nodes: every narrow place once."""

from dataclasses import replace

import pytest
from fujimi_core.facilities import Launch, LocalStorage, Startup, Storage
from fujimi_sim.run.storage_times import io_nodes, launch_s, read_local_s, read_s, read_same_s, stage_s, write_s

#: Four nodes share an I/O node.
STORAGE = Storage(
    nodes_per_io_node=4,
    io_node_read_bytes_per_s=100.0,
    io_node_write_bytes_per_s=50.0,
    read_bytes_per_s=1_000.0,
    write_bytes_per_s=200.0,
    open_rate_hz=10.0,
    create_rate_hz=5.0,
)
LOCAL = LocalStorage(node_bytes=1e6, io_node_read_bytes_per_s=400.0, io_node_write_bytes_per_s=80.0)


def test_last_nodes_need_an_io_node_too() -> None:
    assert [io_nodes(STORAGE, nodes) for nodes in (1, 4, 5, 400)] == [1, 1, 2, 100]


def test_few_nodes_are_held_up_by_their_io_nodes_and_many_by_the_file_system() -> None:
    assert read_s(STORAGE, 8, nbytes=6_000, files=0) == 6_000 / 200
    assert read_s(STORAGE, 400, nbytes=6_000, files=0) == 6_000 / 1_000
    assert write_s(STORAGE, 8, nbytes=6_000, files=0) == 6_000 / 100
    assert write_s(STORAGE, 400, nbytes=6_000, files=0) == 6_000 / 200


def test_each_file_costs_the_metadata_servers_time() -> None:
    assert read_s(STORAGE, 8, nbytes=0, files=70) == 7.0
    assert write_s(STORAGE, 8, nbytes=0, files=70) == 14.0
    assert read_same_s(STORAGE, 8, nbytes=0, files=70) == 8 * 7.0


def test_what_all_nodes_read_is_fetched_once_for_each_io_node() -> None:
    assert read_same_s(STORAGE, 8, nbytes=500, files=0) == 4 * 500 / 100, "handed out to four nodes"
    assert read_same_s(STORAGE, 400, nbytes=500, files=0) == 100 * 500 / 1_000, "fetched a hundred times"
    assert read_same_s(STORAGE, 1, nbytes=500, files=0) == 500 / 100


def test_staging_waits_for_the_slower_of_reading_and_writing() -> None:
    assert stage_s(STORAGE, LOCAL, 8, nbytes=500, files=0) == 4 * 500 / 80
    assert stage_s(STORAGE, replace(LOCAL, io_node_write_bytes_per_s=1e9), 8, nbytes=500, files=0) == 4 * 500 / 100


def test_local_reading_knows_no_limit_but_the_io_nodes() -> None:
    assert read_local_s(STORAGE, LOCAL, 40_000, nbytes=4e6) == 4e6 / (10_000 * 400)


MEASURED = Startup(
    launches=(
        Launch(nodes=10, least_s=1.0, most_s=2.0),
        Launch(nodes=20, least_s=2.0, most_s=4.0),
        Launch(nodes=40, least_s=3.0, most_s=4.0),
    )
)


@pytest.mark.parametrize(
    ("nodes", "expected"),
    [(1, (1.0, 2.0)), (10, (1.0, 2.0)), (15, (1.5, 3.0)), (40, (3.0, 4.0)), (60, (4.0, 4.0)), (100, (6.0, 6.0))],
)
def test_launch_takes_what_was_measured_and_grows_on_in_a_line(nodes: int, expected: tuple[float, float]) -> None:
    assert launch_s(MEASURED, nodes) == pytest.approx(expected)


def test_one_measurement_is_taken_for_all_sizes() -> None:
    assert launch_s(Startup(launches=MEASURED.launches[:1]), 1_000) == (1.0, 2.0)
