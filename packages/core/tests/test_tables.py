"""Tables: columns that line up."""

from fujimi_core.tables import table


def test_numbers_stand_to_the_right_and_texts_to_the_left() -> None:
    lines = table(["nodes", "name"], [["1", "a"], ["158,976", "fugaku"]]).splitlines()
    assert lines == ["  nodes  name", "      1  a", "158,976  fugaku"]


def test_table_without_rows_is_its_header() -> None:
    assert table(["machine", "nodes"], []) == "machine  nodes"


def test_no_line_ends_in_blanks() -> None:
    assert all(line == line.rstrip() for line in table(["a", "long header"], [["b", ""], ["c", "d"]]).splitlines())
