import io
import tarfile

import google_crc32c
import numpy as np
from fujimi_data import sample, tar
from fujimi_data.sample import Sample

PICTURE = np.arange(256, dtype=np.uint8).reshape(16, 16)


def test_a_sample_is_two_members_of_one_key() -> None:
    entry, content = sample.encode(Sample(picture=PICTURE, label=12, key="00012_00003"))
    with tarfile.open(fileobj=io.BytesIO(content + tar.END)) as archive:
        assert archive.getnames() == ["00012_00003.png", "00012_00003.cls"]
        label = archive.extractfile("00012_00003.cls")
        assert label is not None
        assert label.read() == b"12"
    assert (entry.nbytes, entry.checksum) == (len(content), google_crc32c.value(content))
    assert np.array_equal(sample.picture_of(content, entry.picture_nbytes), PICTURE)
