"""Measurements: files are read by their columns, and what is wrong in them is named."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from fujimi_core.errors import MachineError
from fujimi_core.hookspecs import hookimpl
from fujimi_core.measurements import Measurement, MeasurementFile, Row, read_rows
from fujimi_core.plugins import Plugins


def read(row: Row) -> Measurement | None:
    if row["what"] == "pause":
        return None
    return Measurement(collective=row["what"], nodes=int(row["nodes"]), nbytes=8, seconds=float(row["us"]) * 1e-6)


@pytest.fixture
def toy(tmp_path: Path) -> MeasurementFile:
    path = tmp_path / "toy.csv"
    path.write_text("# by nobody\nwhat,nodes,us,note\nbarrier,4,2,\n\npause,1,0,\nall_reduce,8,7,x\n", encoding="utf-8")
    return MeasurementFile(
        name="toy", machine="abacus", source="nobody", path=path, columns=("what", "nodes", "us"), read=read
    )


def test_rows_are_read_and_those_that_are_no_measurement_left_out(toy: MeasurementFile) -> None:
    assert [(row.collective, row.nodes, row.seconds) for row in toy.rows()] == [
        ("barrier", 4, 2e-6),
        ("all_reduce", 8, 7e-6),
    ]


def test_a_file_is_read_by_the_format_that_has_its_columns(toy: MeasurementFile) -> None:
    other = replace(toy, columns=("operation", "seconds"))
    assert len(read_rows(toy.path, [other, toy])) == 2
    with pytest.raises(MachineError, match="columns are what, nodes, us, note; needed: operation, seconds"):
        read_rows(toy.path, [other])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns are missing"),
        ("what,nodes,us\n", "no measurements below the header"),
        ("what,nodes,us\nbarrier,four,1\n", "line 2: invalid literal"),
        ("# x\n\nwhat,nodes,us\nbarrier,4,1\nbarrier,0,1\n", "line 5: nodes is 0; it must be above 0"),
        ("what,nodes,us\nbarrier,4\n", "line 2"),
        ("what,nodes,us\nbarrier,4,-1\n", "seconds is -1e-06"),
    ],
)
def test_what_is_wrong_is_named_with_file_and_line(toy: MeasurementFile, text: str, message: str) -> None:
    Path(str(toy.path)).write_text(text, encoding="utf-8")
    with pytest.raises(MachineError, match=message) as refused:
        toy.rows()
    assert "toy.csv" in str(refused.value)


def test_a_file_that_is_not_there_is_named(toy: MeasurementFile, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"cannot read the measurements .*nowhere\.csv"):
        replace(toy, path=tmp_path / "nowhere.csv").rows()


def test_measurements_are_offered_by_name(toy: MeasurementFile) -> None:
    @hookimpl
    def fujimi_measurements() -> Sequence[MeasurementFile]:
        return [toy]

    plugins = Plugins(strict=True)
    plugins.register(SimpleNamespace(fujimi_measurements=fujimi_measurements), "measuring")
    assert plugins.measurements() == {"toy": toy}
