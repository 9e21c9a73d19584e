"""Disks: what is measured, and what is left."""

import errno
import os

import pytest
from fujimi_core.errors import RunError
from fujimi_train.calibration.disk import measure_disk


def test_rates_are_above_zero_and_nothing_is_left(tmp_path):
    found = measure_disk(tmp_path, nbytes=2**16, files=3)
    assert min(found.read_bytes_per_s, found.write_bytes_per_s, found.open_rate_hz, found.create_rate_hz) > 0
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_named_and_nothing_is_left(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left on device; make room"):
        measure_disk(tmp_path, nbytes=2**16, files=3)
    assert list(tmp_path.iterdir()) == []
