"""Selection tables: which rule holds, and which of its algorithms is taken."""

from pathlib import Path

import pytest
from fujimi_core import selection
from fujimi_core.errors import MachineError
from fujimi_core.selection import Rule, SelectionTable
from fujimi_core.workload import Collective, CollectiveKind

TABLE = """
title = "Toy MPI"
source = "its manual"
[rules]
all_reduce = [
    { integers = 6, use = ["gates"] },
    { floats = 3, use = ["gates"] },
    { processes = 32, bytes_per_process = 100, use = ["doubling"] },
    { processes = 32, use = ["trees", "ring"] },
    { bytes = 1000, use = ["doubling"] },
]
"""


def all_reduce(nbytes: int, dtype: str = "float32") -> Collective:
    return Collective(kind=CollectiveKind.ALL_REDUCE, nbytes=nbytes, axes=("dp",), dtype=dtype)


@pytest.fixture
def table(tmp_path: Path) -> SelectionTable:
    file = tmp_path / "toy.toml"
    file.write_text(TABLE, encoding="utf-8")
    return selection.load(file)


@pytest.mark.parametrize(
    ("collective", "members", "chosen"),
    [
        (all_reduce(24, "int32"), 64, "gates"),
        (all_reduce(28, "int32"), 64, "doubling"),
        (all_reduce(12), 64, "gates"),
        (all_reduce(24, "float64"), 64, "gates"),
        (all_reduce(16), 8, "doubling"),
        (all_reduce(3200), 32, "doubling"),
        (all_reduce(3232), 32, "trees"),
        (all_reduce(1000), 33, "doubling"),
        (all_reduce(1001), 33, None),
    ],
)
def test_the_first_rule_whose_bounds_all_hold_counts(
    table: SelectionTable, collective: Collective, members: int, chosen: str | None
) -> None:
    assert table.choose(collective, members, ["ring", "trees", "doubling", "gates"]) == chosen


def test_an_algorithm_that_is_not_there_makes_room_for_the_next_of_the_same_rule(table: SelectionTable) -> None:
    assert table.choose(all_reduce(10**6), 8, ["ring", "doubling"]) == "ring"
    assert table.choose(all_reduce(10**6), 8, ["doubling"]) is None


def test_a_kind_without_rules_is_left_to_others(table: SelectionTable) -> None:
    barrier = Collective(kind=CollectiveKind.BARRIER, nbytes=0, axes=("dp",), dtype="uint8")
    assert table.choose(barrier, 8, ["doubling"]) is None


def test_a_rule_without_an_algorithm_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one algorithm to use"):
        Rule(use=())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = ", "cannot read the selection table"),
        ('title = "x"\nsource = "y"\n[rules]\nall_reduce = [{ used = ["ring"] }]', "used"),
        ('title = "x"\nsource = "y"\n[rules]\nall_redoce = []', "all_redoce"),
    ],
)
def test_a_table_that_is_wrong_is_refused_with_its_name(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(MachineError, match=message) as refused:
        selection.load(file)
    assert "wrong.toml" in str(refused.value)
