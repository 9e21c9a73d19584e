from pathlib import Path

import pytest
from fujimi_data.errors import ShardError
from fujimi_data.shards.verification import damages

from ..conftest import flip


def test_a_whole_dataset_has_no_damages(directory: Path) -> None:
    assert list(damages(directory)) == []


def test_all_damages_are_listed_in_order(directory: Path) -> None:
    flip(directory / "shard-00000.tar", 10)
    flip(directory / "shard-00000.tar", 700)
    flip(directory / "shard-00000.tar", 2600)
    (directory / "shard-00001.tar").unlink()
    flip(directory / "shard-00002.tar", (directory / "shard-00002.tar").stat().st_size - 1)
    found = [(Path(damage.shard).name, damage.sample, damage.offset) for damage in damages(directory)]
    assert found[:2] == [("shard-00000.tar", "00000_00000", 0), ("shard-00000.tar", "00001_00000", 2048)]
    assert found[2] == ("shard-00001.tar", None, None)
    assert found[3][:2] == ("shard-00002.tar", None)
    assert len(found) == 4


def test_a_damaged_file_of_tables_is_listed(directory: Path) -> None:
    flip(directory / "dataset.index", 60)
    found = list(damages(directory))
    assert [str(damage) for damage in found] == [
        f"{directory}/dataset.index: at byte 54: the checksum of the table of shard-00001.tar does not match"
    ]
    (directory / "dataset.index").unlink()
    assert ["No such file" in damage.what for damage in damages(directory)] == [True]


def test_what_is_no_dataset_cannot_be_verified(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="no dataset"):
        list(damages(tmp_path))
