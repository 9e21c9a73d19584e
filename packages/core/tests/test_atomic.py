import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fujimi_core.atomic import atomic_file, only_writer
from fujimi_core.errors import FujimiError, RunError

KILLED = """
import os, signal, sys
from pathlib import Path
from fujimi_core.atomic import atomic_file
with atomic_file(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with atomic_file(path) as file:
        file.write(b"whole")
        assert not path.exists()
    assert path.read_bytes() == b"whole"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"before")

    def write_half() -> None:
        with atomic_file(path) as file:
            file.write(b"half")
            raise KeyError

    with pytest.raises(KeyError):
        write_half()
    assert path.read_bytes() == b"before"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_killed_process_leaves_no_file_of_that_name(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "a")], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [each.name for each in tmp_path.iterdir()] == [".a.partial"]
    with atomic_file(tmp_path / "a") as file:
        file.write(b"whole")
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_failed_sync_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunError, match="No space left on device"), atomic_file(tmp_path / "a") as file:
        file.write(b"whole")
    assert list(tmp_path.iterdir()) == []


def test_a_directory_has_one_writer(tmp_path: Path) -> None:
    second = only_writer(tmp_path)
    with only_writer(tmp_path), pytest.raises(FujimiError, match="another process is writing"):
        second.__enter__()
    with only_writer(tmp_path):
        pass


def test_a_file_system_without_locks_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def unsupported(descriptor: int, operation: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("fcntl.flock", unsupported)
    with only_writer(tmp_path):
        pass
    assert "cannot be locked" in caplog.text


def test_writers_of_the_same_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with atomic_file(path, writer="1") as one, atomic_file(path, writer="2") as other:
        one.write(b"same")
        other.write(b"same")
        assert sorted(each.name for each in tmp_path.iterdir()) == [".a.1.partial", ".a.2.partial"]
    assert path.read_bytes() == b"same"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_parts_of_a_directory_may_be_written_at_the_same_time_and_all_of_it_not(tmp_path: Path) -> None:
    def write(part: str | None) -> None:
        with only_writer(tmp_path, part=part):
            pass

    with only_writer(tmp_path, part="0-of-2"):
        write("1-of-2")
        for part in ("0-of-2", None):
            with pytest.raises(FujimiError, match="another process is writing"):
                write(part)
    assert list(tmp_path.iterdir()) == []
    write(None)
