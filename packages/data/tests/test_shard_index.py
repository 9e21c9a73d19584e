import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from fujimi_data import sample, shard_index, tar
from fujimi_data.errors import ShardError
from fujimi_data.sample import Sample, SampleEntry


def samples(count: int) -> list[tuple[SampleEntry, bytes]]:
    picture = np.zeros((16, 16), dtype=np.uint8)
    return [sample.encode(Sample(picture=picture, label=n, key=f"{n:05d}_00000")) for n in range(count)]


def decoded(content: bytes) -> shard_index.ShardIndex:
    offset = shard_index.offset_of(content[-shard_index.TAIL_NBYTES :], shard="a.tar", nbytes=len(content))
    return shard_index.decode(content[offset:], shard="a.tar", offset=offset)


@pytest.mark.parametrize("count", [1, 16, 17])
def test_the_index_tells_where_samples_lie(count: int) -> None:
    written = samples(count)
    body = b"".join(content for _, content in written)
    end, checksum = shard_index.encode([entry for entry, _ in written], recipe="abc")
    index = decoded(body + end)
    assert (index.recipe, index.checksum) == ("abc", checksum)
    for row, (entry, content) in zip(index.rows, written, strict=True):
        assert body[row["offset"] :][: row["nbytes"]] == content
        assert (row["key"].decode(), row["label"], row["crc32c"]) == (entry.key, entry.label, entry.checksum)


def test_the_index_is_the_last_member(tmp_path: Path) -> None:
    written = samples(3)
    end, _ = shard_index.encode([entry for entry, _ in written], recipe="abc")
    (tmp_path / "a.tar").write_bytes(b"".join(content for _, content in written) + end)
    with tarfile.open(tmp_path / "a.tar") as archive:
        assert archive.getnames()[-1] == shard_index.MEMBER


def test_the_footer_can_be_read_by_people() -> None:
    written = samples(2)
    end, checksum = shard_index.encode([entry for entry, _ in written], recipe="abc")
    footer = end[: -len(tar.END)][-tar.BLOCK :]
    shown = json.loads(footer[:-8])
    assert (shown["format"], shown["version"], shown["samples"]) == ("fujimi-shard", 1, 2)
    assert footer[-8:].decode() == checksum


def test_another_version_is_named() -> None:
    end, _ = shard_index.encode([entry for entry, _ in samples(1)], recipe="abc")
    later = end.replace(b'"version": 1', b'"version": 9')
    with pytest.raises(ShardError, match="version 9 of the format; this program reads version 1"):
        shard_index.offset_of(later[-shard_index.TAIL_NBYTES :], shard="a.tar", nbytes=len(end))
