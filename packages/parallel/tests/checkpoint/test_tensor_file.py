import errno
import json

import google_crc32c
import numpy as np
import pytest
import torch
from fujimi_core.errors import RunError
from fujimi_parallel.checkpoint.parts import Runs
from fujimi_parallel.checkpoint.tensor_file import CHUNK_NBYTES, Entry, bytes_of, copy, read, read_header, write
from safetensors import safe_open


def entry(key, tensor):
    return Entry(key=key, dtype=tensor.dtype, shape=tuple(tensor.shape))


@pytest.fixture
def large():
    return torch.arange(2 * CHUNK_NBYTES // 4 + 5)  # of 8 bytes each: more than four chunks


@pytest.fixture
def path(tmp_path, large):
    write(tmp_path / "x.safetensors", [entry("large", large)], [large], about={"text": "as it is"})
    return tmp_path / "x.safetensors"


def test_file_is_what_safetensors_says_it_is(path, large):
    with safe_open(path, "pt") as file:
        assert torch.equal(file.get_tensor("large"), large)
        assert file.metadata()["text"] == "as it is"


def test_each_chunk_has_its_crc32c(path, large):
    content = large.numpy().tobytes()
    expected = [
        google_crc32c.value(content[begin : begin + CHUNK_NBYTES]) for begin in range(0, len(content), CHUNK_NBYTES)
    ]
    assert len(expected) == 5
    with safe_open(path, "pt") as file:
        digits = json.loads(file.metadata()["crc32c"])["large"]
    assert [int(digits[begin : begin + 8], 16) for begin in range(0, len(digits), 8)] == expected


def test_whole_tensor_is_read_back(path, large):
    header = read_header(path)
    assert header.about == {"text": "as it is"}
    assert torch.equal(read(header.tensors["large"]), large)


def test_runs_are_copied_across_the_borders_of_chunks(path, large):
    content = large.numpy().tobytes()
    begins = np.array([0, 5, CHUNK_NBYTES - 3, 2 * CHUNK_NBYTES, 4 * CHUNK_NBYTES + 30])
    lengths = np.array([4, 100, CHUNK_NBYTES + 1, 2 * CHUNK_NBYTES + 8, 10])
    targets = np.cumsum(lengths) - lengths
    target = torch.zeros(int(lengths.sum()), dtype=torch.uint8)
    copy(
        read_header(path).tensors["large"],
        Runs(target=targets, source=begins, length=lengths),
        bytes_of(target),
    )
    expected = b"".join(content[begin : begin + length] for begin, length in zip(begins, lengths, strict=True))
    assert target.numpy().tobytes() == expected


def test_flipped_bit_anywhere_in_the_header_is_found(tmp_path):
    path = tmp_path / "x.safetensors"
    number = torch.tensor([1.0])
    write(path, [entry("number", number)], [number], about={"text": "x"})
    content = path.read_bytes()
    for at in range(len(content) - 4):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(RunError, match=r"cannot read .*x.safetensors: "):
            read_header(path)


@pytest.mark.parametrize("content", [b"", b"\x01\0\0", b"\xff" * 8, b"\x02\0\0\0\0\0\0\0{}", b"\x04\0\0\0\0\0\0\0null"])
def test_what_is_no_such_file_is_named(tmp_path, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(RunError, match=r"cannot read .*x.safetensors: "):
        read_header(tmp_path / "x.safetensors")


def test_header_is_known_by_what_write_returned(tmp_path):
    paths, tensors = [tmp_path / "a", tmp_path / "b"], [torch.tensor([1]), torch.tensor([2])]
    own = [write(path, [entry("x", each)], [each], about={}) for path, each in zip(paths, tensors, strict=True)]
    assert own[0] != own[1]
    read_header(paths[0], expected=own[0])
    with pytest.raises(RunError, match=r"cannot read .*b: it is of another run"):
        read_header(paths[1], expected=own[0])


def test_tensors_are_taken_one_by_one(tmp_path):
    taken = []

    def tensors():
        for number in range(3):
            taken.append(number)
            yield torch.tensor([number])

    lazy = tensors()
    next(lazy)
    assert taken == [0]
    entries = [entry(f"x{number}", torch.tensor([0])) for number in (1, 2)]
    write(tmp_path / "x", entries, lazy, about={})
    assert [read(stored).item() for stored in read_header(tmp_path / "x").tensors.values()] == [1, 2]


def test_full_disk_leaves_the_file_before_and_nothing_else(path, large, monkeypatch):
    before = path.read_bytes()

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match=r"cannot write .*x.safetensors: No space left on device$"):
        write(path, [entry("other", large)], [large], about={})
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_type_that_the_format_has_not_is_refused():
    with pytest.raises(ValueError, match=r"x: safetensors has no torch.complex128"):
        Entry(key="x", dtype=torch.complex128, shape=())
