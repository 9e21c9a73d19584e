from pathlib import Path

import pytest
from fujimi_core.errors import RunError
from fujimi_data.errors import ShardError
from fujimi_data.shards.index import row_type
from fujimi_data.shards.sample import encode
from fujimi_data.shards.shard import Shard
from fujimi_data.shards.writer import write_shard, write_tables

ENCODED = encode("a", {"cls": b"0"})


def test_the_entry_describes_the_file(tmp_path: Path) -> None:
    entry = write_shard(tmp_path / "a.tar", [ENCODED], recipe="abc", label_nbytes=1)
    assert (entry.name, entry.samples, entry.nbytes) == ("a.tar", 1, (tmp_path / "a.tar").stat().st_size)
    assert Shard(tmp_path / "a.tar", recipe="abc").entry == entry


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / ".a.tar.partial").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"cannot write .*a\.tar: No space left on device"):
        write_shard(tmp_path / "a.tar", [ENCODED] * 2000, recipe="abc", label_nbytes=1)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_shard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        write_shard(tmp_path / "a.tar", [], recipe="abc", label_nbytes=1)
    assert list(tmp_path.iterdir()) == []


def test_the_tables_of_all_shards_follow_each_other(tmp_path: Path) -> None:
    paths = [tmp_path / "a.tar", tmp_path / "b.tar"]
    entries = [write_shard(paths[n], [ENCODED] * (n + 2), recipe="abc", label_nbytes=2) for n in range(2)]
    assert write_tables(paths, tmp_path, recipe="abc") == tuple(entries)
    tables = [Shard(path).index.rows.tobytes() for path in paths]
    assert (tmp_path / "dataset.index").read_bytes() == b"".join(tables)
    assert [len(table) // row_type(2).itemsize for table in tables] == [3, 4]


def test_tables_of_another_dataset_are_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.tar", [ENCODED], recipe="other", label_nbytes=1)
    with pytest.raises(ShardError, match="belongs to another dataset"):
        write_tables([tmp_path / "a.tar"], tmp_path, recipe="abc")
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]
