"""What benchmarks report, in the words of this project."""

from collections import Counter

import pytest
from fujimi_a64fx.reported import algorithm_name, measurement_files
from fujimi_core.measurements import Measurement, read_rows


@pytest.mark.parametrize(
    ("collective", "reported", "nbytes", "name"),
    [
        ("all_reduce", "default-default", 8, ""),
        ("all_reduce", "default-recursive_doubling", 8, "recursive_doubling"),
        ("all_reduce", "BINE-L-UTOFU-65536-3", 2**23, "bine_whole_x3"),
        ("all_reduce", "RECDOUB-B_CONT-UTOFU-0-6", 2**23, "doubling_halving_x6"),
        ("all_reduce", "RING-B_CONT-UTOFU-0-6", 2**23, "torus_rings_put"),
        ("all_reduce", "default-trix3", 393_216, "trinary_x3/4096"),
        ("all_reduce", "default-trix3", 393_217, "trinary_x3/16384"),
        ("broadcast", "default-trinaryx6", 2**29, "trinary_x6/65536"),
        ("gather", "BINE-BINOMIAL_TREE_CONT_PERMUTE-DEC-UTOFU-0-3", 2**20, "bine_tree_far_x3"),
        ("gather", "BINE-BINOMIAL_TREE_CONT_PERMUTE-MPI-0-1", 2**20, "bine_tree_mpi_x1"),
        ("all_gather", "BINE-VEC_DOUBLING_BLOCKS-UTOFU-0-1", 2**20, None),
        ("all_to_all", "default-blacc3d", 2**20, None),
    ],
)
def test_algorithms_have_the_name_of_what_does_the_same_here(collective, reported, nbytes, name):
    assert algorithm_name(collective, reported, nbytes) == name


@pytest.fixture(scope="module")
def rows() -> dict[str, list[Measurement]]:
    return {each.name: each.rows() for each in measurement_files()}


def test_small_runs_are_for_fitting_and_larger_ones_for_checking(rows):
    nodes = {name: {row.nodes: row.fitted for row in each} for name, each in rows.items()}
    assert nodes == {"fugaku_collectives": {8: True, 64: False}, "fugaku_imb": {2: True, 384: False}}


def test_a_benchmark_of_parts_is_counted_by_the_whole_buffer(rows):
    found = [row for row in rows["fugaku_imb"] if row.collective == "all_gather"]
    assert {row.ranks_per_node for row in found} == {4}
    assert min(row.nbytes for row in found) == 1536  # one byte of each process


def test_every_file_names_its_source_and_is_read_as_any_file_with_its_columns(rows):
    for each in measurement_files():
        assert each.source
        assert read_rows(each.path, measurement_files()) == rows[each.name]


def test_most_rows_are_modelled(rows):
    modelled = Counter(row.modelled for row in rows["fugaku_collectives"])
    assert modelled[False] < 0.1 * modelled[True]


def test_a_collective_that_nobody_knows_is_refused():
    first, *_ = measurement_files()
    row = dict.fromkeys(first.columns, "1") | {"collective": "allredoce"}
    with pytest.raises(ValueError, match="allredoce"):
        first.read(row)
