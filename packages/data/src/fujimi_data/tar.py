"""Members of a tar archive as bytes (POSIX ustar), the same for the same content."""

import tarfile

#: Everything in a tar archive comes in blocks of so many bytes.
BLOCK = 512
#: What an archive ends with.
END = bytes(2 * BLOCK)


def member(name: str, content: bytes) -> bytes:
    """Header, content and padding of one file.

    Owner, time and permissions are constants.
    """
    return header(name, len(content)) + content + bytes(padding(len(content)))


def header(name: str, nbytes: int) -> bytes:
    """Header of a file of so many bytes."""
    info = tarfile.TarInfo(name)
    info.size = nbytes
    return info.tobuf(tarfile.USTAR_FORMAT)


def padding(nbytes: int) -> int:
    """Bytes that fill up the last block."""
    return -nbytes % BLOCK
