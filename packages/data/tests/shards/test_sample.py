import io
import pickle
import tarfile

import google_crc32c
import numpy as np
import pytest
from fujimi_data.shards import png, tar
from fujimi_data.shards.sample import Sample, decode, encode, picture_in, split

PICTURE = np.arange(256, dtype=np.uint8).reshape(16, 16)
FILES = {"json": b'{"angle": 30}', "png": png.encode(PICTURE), "cls": b"12"}


def test_a_sample_is_members_of_one_key() -> None:
    entry, content = encode("a/00012_00003", FILES, label=12)
    with tarfile.open(fileobj=io.BytesIO(content + tar.END)) as archive:
        assert archive.getnames() == [f"a/00012_00003.{extension}" for extension in FILES]
        label = archive.extractfile("a/00012_00003.cls")
        assert label is not None
        assert label.read() == b"12"
    assert (entry.key, entry.label) == ("a/00012_00003", 12)
    assert (entry.nbytes, entry.checksum) == (len(content), google_crc32c.value(content))


def test_what_is_encoded_is_decoded() -> None:
    _, content = encode("a.b/c", FILES)
    sample = decode(memoryview(content), label=12)
    assert (sample.key, sample.label) == ("a.b/c", 12)
    assert {extension: bytes(file) for extension, file in sample.files.items()} == FILES
    assert sample["json"] == {"angle": 30}
    assert sample["cls"] == 12
    assert np.array_equal(sample.picture, PICTURE)
    assert np.array_equal(picture_in(memoryview(content)), PICTURE)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("a.png", ("a", "png")),
        ("n1/a.seg.png", ("n1/a", "seg.png")),
        ("v1.2/a.png", ("v1.2/a", "png")),
        ("a", ("a", "")),
    ],
)
def test_the_extension_begins_after_the_first_dot_of_the_last_part(name: str, parts: tuple[str, str]) -> None:
    assert split(name) == parts


def test_a_sample_without_a_picture_says_what_it_has() -> None:
    with pytest.raises(ValueError, match="sample a has no picture: txt"):
        _ = Sample(key="a", label=None, files={"txt": b""}).picture
    with pytest.raises(ValueError, match="no picture"):
        picture_in(memoryview(encode("a", {"txt": b""})[1]))


def test_a_sample_has_files() -> None:
    with pytest.raises(ValueError, match="sample a has no files"):
        encode("a", {})


def test_a_sample_can_be_sent_to_another_process() -> None:
    sample = decode(memoryview(encode("a", FILES)[1]), label=12)
    sent = pickle.loads(pickle.dumps(sample))
    assert (sent.key, sent.label, dict(sent.files)) == ("a", 12, FILES)
