from collections import Counter

import pytest
from fujimi_sim.network.collectives.generic import GENERIC
from fujimi_sim.network.collectives.tofu import LANES, SEGMENTS, TOFU, TREE_SEGMENTS


def test_no_two_algorithms_have_the_same_name():
    names = Counter(each.name for each in (*GENERIC, *TOFU))
    assert set(names.values()) == {1}


def test_none_of_them_takes_part_where_nobody_names_it():
    assert not any(each.automatic for each in TOFU)


def test_no_algorithm_is_there_twice_under_two_names():
    assert len(set(TOFU)) == len(TOFU)


@pytest.mark.parametrize("distances", ["bine", "doubling"])
def test_there_are_all_lanes_and_segments_of_both_kinds_of_distances(distances):
    names = {each.name for each in TOFU}
    for lanes in LANES:
        assert f"{distances}_whole_x{lanes}" in names
        for segment in SEGMENTS:
            assert f"{distances}_halving_x{lanes}{f'/{segment}' if segment else ''}" in names


def test_there_are_trees_for_all_segments():
    names = {each.name for each in TOFU}
    for segment in TREE_SEGMENTS:
        behind = f"/{segment}" if segment else ""
        assert {f"axis_trees{behind}", f"trinary_x3{behind}", f"trinary_x6{behind}"} <= names


def test_messages_go_over_transports_that_machine_files_describe():
    assert {each.transport for each in TOFU} == {"mpi", "rdma", "utofu", "tofu_barrier"}
