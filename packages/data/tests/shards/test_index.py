import json
import tarfile
from pathlib import Path

import pytest
from fujimi_data.errors import ShardError
from fujimi_data.shards import index, tar
from fujimi_data.shards.index import ShardIndex
from fujimi_data.shards.sample import SampleEntry, encode


def samples(count: int) -> list[tuple[SampleEntry, bytes]]:
    return [encode(f"{n:05d}_00000", {"txt": bytes(100 * n), "cls": b"%d" % n}, label=n) for n in range(count)]


def ended(written: list[tuple[SampleEntry, bytes]], label_nbytes: int = 1) -> tuple[bytes, bytes]:
    return index.encode([entry for entry, _ in written], recipe="abc", label_nbytes=label_nbytes)


def decoded(content: bytes) -> ShardIndex:
    footer = index.read_footer(content[-index.TAIL_NBYTES :], shard="a.tar", nbytes=len(content))
    assert footer.recipe == "abc"
    return index.decode(content[footer.index_offset :], footer=footer, shard="a.tar")


@pytest.mark.parametrize("count", [1, 16, 17])
@pytest.mark.parametrize("label_nbytes", [0, 1, 2, 4])
def test_the_index_tells_where_samples_lie(count: int, label_nbytes: int) -> None:
    written = samples(count)
    body = b"".join(content for _, content in written)
    end, table = ended(written, label_nbytes)
    found = decoded(body + end)
    assert found.rows.tobytes() == table
    assert list(found.keys) == [entry.key for entry, _ in written]
    starts = found.rows["offset"].astype(int) * tar.BLOCK
    for row, start, stop, (entry, content) in zip(found.rows, starts, starts[1:], written, strict=False):
        assert body[start:stop] == content
        assert row["crc32c"] == entry.checksum
        assert not label_nbytes or row["label"] == entry.label


def test_a_row_has_offset_checksum_and_the_label_in_as_few_bytes_as_do() -> None:
    assert [index.row_type(index.label_nbytes(largest)).itemsize for largest in (0, 255, 256, 65535, 65536)] == [
        9, 9, 10, 10, 12,
    ]  # fmt: skip


def test_the_index_is_the_last_member(tmp_path: Path) -> None:
    written = samples(3)
    (tmp_path / "a.tar").write_bytes(b"".join(content for _, content in written) + ended(written)[0])
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert archive.getnames()[-1] == index.MEMBER


def test_the_footer_can_be_read_by_people() -> None:
    end, _ = ended(samples(2))
    shown = json.loads(end[: -len(tar.END)][-tar.BLOCK : -8])
    assert (shown["format"], shown["version"], shown["samples"]) == ("fujimi-shard", 2, 2)


def test_another_version_is_named() -> None:
    end, _ = ended(samples(1))
    later = end.replace(b'"version": 2', b'"version": 9')
    with pytest.raises(ShardError, match="version 9 of the format; this program reads version 2"):
        index.read_footer(later[-index.TAIL_NBYTES :], shard="a.tar", nbytes=len(end))


def test_a_label_that_does_not_fit_is_refused() -> None:
    entry, content = encode("a", {"cls": b"256"}, label=256)
    with pytest.raises(ValueError, match=r"labels from 256 to 256; 1 byte\(s\) hold fewer"):
        ended([(entry, content)])


def test_a_key_of_two_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="a key is one line"):
        ended([encode("a\nb", {"cls": b"1"})])
