import io
import tarfile

import pytest
from fujimi_data.shards import tar


@pytest.mark.parametrize("nbytes", [0, 1, 511, 512, 513])
def test_tarfile_reads_members(nbytes: int) -> None:
    content = b"x" * nbytes
    archive = tar.member("one", content) + tar.member("two.cls", b"2") + tar.END
    with tarfile.open(fileobj=io.BytesIO(archive)) as read:
        assert read.getnames() == ["one", "two.cls"]
        extracted = read.extractfile("one")
        assert extracted is not None
        assert extracted.read() == content
        assert {(info.mtime, info.uid, info.mode) for info in read} == {(0, 0, 0o644)}


def test_members_fill_whole_blocks() -> None:
    assert {len(tar.member("one", bytes(nbytes))) % tar.BLOCK for nbytes in range(1030)} == {0}


@pytest.mark.parametrize("name", ["a", "x" * 100, f"{'d' * 150}/{'f' * 100}", "富士.png"])
def test_names_are_read_again(name: str) -> None:
    content = tar.member(name, b"1") + tar.member("b", bytes(600))
    assert list(tar.members(memoryview(content))) == [(name, 512, 1), ("b", 1536, 600)]
    with tarfile.open(fileobj=io.BytesIO(content + tar.END)) as read:
        assert read.getnames() == [name, "b"]


def test_a_name_that_tar_cannot_write_is_refused() -> None:
    with pytest.raises(ValueError, match="no name or size for a tar archive: 'xxx"):
        tar.member("x" * 300, b"")


def test_what_is_no_header_is_refused() -> None:
    with pytest.raises(ValueError, match="no tar header at byte 1024"):
        list(tar.members(memoryview(tar.member("a", b"1") + bytes(512))))
