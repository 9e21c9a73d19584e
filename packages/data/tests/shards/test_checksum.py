import pytest
from fujimi_data.shards.checksum import crc32c


# RFC 3720, appendix B.4
@pytest.mark.parametrize(
    ("content", "checksum"),
    [(bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43), (bytes(range(32)), 0x46DD794E)],
)
def test_checksums_are_those_of_the_standard(content: bytes, checksum: int) -> None:
    assert crc32c(content) == checksum
