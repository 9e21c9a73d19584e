"""The checksum of all files: CRC-32C, which processors have an instruction for."""

import google_crc32c


def crc32c(content: bytes | memoryview) -> int:
    """CRC-32C of bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'

    Source:
        RFC 3720, appendix B.4, has more examples.
    """
    return int(google_crc32c.value(bytes(content)))


def digits(content: bytes | memoryview) -> str:
    """CRC-32C as eight hexadecimal digits.

    >>> digits(b"123456789")
    'e3069283'
    """
    return f"{crc32c(content):08x}"
