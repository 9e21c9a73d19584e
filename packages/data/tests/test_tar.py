import io
import tarfile

import pytest
from fujimi_data import tar


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
