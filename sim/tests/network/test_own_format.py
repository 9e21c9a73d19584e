from dataclasses import replace

import pytest
from fujimi_core.errors import MachineError
from fujimi_core.measurements import Measurement, read_rows
from fujimi_sim.network.own_format import OWN_FORMAT, parse_seconds, read

ROW = {"collective": "all_reduce", "nodes": "8", "bytes": "1024", "seconds": "2.5e-5"}


@pytest.fixture
def rows_of(tmp_path):
    """What is read from a file with these lines."""

    def rows(*lines):
        path = tmp_path / "mine.csv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return read_rows(path, [OWN_FORMAT])

    return rows


def test_four_columns_are_enough():
    assert read(ROW) == Measurement(collective="all_reduce", nodes=8, nbytes=1024, seconds=2.5e-5)


def test_the_other_columns_say_shape_ranks_type_and_algorithm():
    row = ROW | {"shape": "2x2x2", "ranks_per_node": "4", "dtype": "int32", "algorithm": "ring"}
    assert read(row) == Measurement(
        collective="all_reduce",
        nodes=8,
        shape=(2, 2, 2),
        ranks_per_node=4,
        nbytes=1024,
        dtype="int32",
        reported="ring",
        algorithm="ring",
        seconds=2.5e-5,
    )


def test_empty_cells_are_as_if_the_column_was_left_out():
    assert read(ROW | dict.fromkeys(["shape", "ranks_per_node", "dtype", "algorithm"], "")) == read(ROW)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1e-6", 1e-6), ("0.5", 0.5), ("25 us", 2.5e-5), ("3 ms", 3e-3), ("2 min", 120)]
)
def test_times_are_in_seconds_if_they_do_not_say(text, seconds):
    assert parse_seconds(text) == pytest.approx(seconds)


def test_a_file_may_have_comments_empty_lines_and_other_columns(rows_of):
    found = rows_of(
        "# measured on Sunday",
        "machine,collective,nodes,bytes,seconds",
        "",
        "mine,send,2,8,1 us",
        "# and on Monday",
        "mine,barrier,4,0,3e-6",
    )
    assert [(row.collective, row.nodes, row.nbytes) for row in found] == [("send", 2, 8), ("barrier", 4, 0)]
    assert [row.seconds for row in found] == pytest.approx([1e-6, 3e-6])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"collective": "allreduce"}, "Did you mean 'all_reduce'?"),
        ({"collective": "allreduce"}, "Known: all_gather, all_reduce, all_to_all"),
        ({"nodes": "eight"}, "'eight'"),
        ({"nodes": "0"}, "nodes"),
        ({"bytes": "1.5"}, "'1.5'"),
        ({"bytes": "-1"}, "nbytes"),
        ({"seconds": "0"}, "seconds"),
        ({"seconds": "fast"}, "'fast' is no quantity; write a number and a unit, for example '1 s'"),
        ({"seconds": "3 GB"}, "'3 GB' is in B; expected s"),
        ({"seconds": ""}, "'' is no quantity"),
        ({"seconds": "nan"}, "seconds is 'nan'; it must be finite"),
        ({"seconds": "inf"}, "seconds is 'inf'; it must be finite"),
        ({"shape": "2xx2"}, "''"),
        ({"ranks_per_node": "0"}, "ranks_per_node"),
    ],
)
def test_what_makes_no_sense_is_refused_with_file_and_line(rows_of, changed, said):
    row = ROW | changed
    with pytest.raises(MachineError) as refused:
        rows_of("# comment", ",".join(row), "", ",".join(row.values()))
    assert "mine.csv, line 4: " in str(refused.value)
    assert said in str(refused.value)


def test_missing_columns_are_named(rows_of):
    with pytest.raises(MachineError, match=r"columns are collective, nodes; needed: collective, nodes, bytes, seconds"):
        rows_of("collective,nodes", "send,2")


def test_a_file_without_anything_says_so(rows_of):
    with pytest.raises(MachineError, match=r"mine\.csv: columns are missing; needed: "):
        rows_of("# nothing")
    with pytest.raises(MachineError, match=r"mine\.csv: no measurements below the header"):
        rows_of(",".join(ROW))


def test_rows_that_are_too_short_are_refused_by_line(rows_of):
    with pytest.raises(MachineError, match=r"mine\.csv, line 3: "):
        rows_of(",".join(ROW), ",".join(ROW.values()), "all_reduce,8")


def test_other_formats_come_first(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("collective,nodes,bytes,seconds\nsend,2,8,1\n", encoding="utf-8")
    first = replace(OWN_FORMAT, read=lambda row: replace(read(row), nbytes=16))
    assert read_rows(path, [first, OWN_FORMAT])[0].nbytes == 16
