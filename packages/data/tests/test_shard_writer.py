from pathlib import Path

import numpy as np
import pytest
from fujimi_core.errors import RunError
from fujimi_data import sample
from fujimi_data.sample import Sample
from fujimi_data.shard import Shard
from fujimi_data.shard_writer import write_shard

ENCODED = sample.encode(Sample(picture=np.zeros((16, 16), dtype=np.uint8), label=0, key="a"))


def test_the_entry_describes_the_file(tmp_path: Path) -> None:
    entry = write_shard(tmp_path / "a.tar", [ENCODED], recipe="abc")
    assert (entry.name, entry.samples, entry.nbytes) == ("a.tar", 1, (tmp_path / "a.tar").stat().st_size)
    assert Shard(tmp_path / "a.tar", recipe="abc").entry == entry


def test_a_full_disk_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / ".a.tar.partial").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"cannot write .*a\.tar: No space left on device"):
        write_shard(tmp_path / "a.tar", [ENCODED] * 2000, recipe="abc")
    assert list(tmp_path.iterdir()) == []


def test_an_empty_shard_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        write_shard(tmp_path / "a.tar", [], recipe="abc")
    assert list(tmp_path.iterdir()) == []
