import zlib

import deflate
import numpy as np
import pytest
from fujimi_data.shards.stored import zlib_compress
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

# noise, and what came before: how far back, and for how long
PIECES = st.lists(
    st.one_of(st.binary(max_size=40), st.tuples(st.integers(1, 40_000), st.integers(1, 700))), max_size=30
)


def built(pieces: list[bytes | tuple[int, int]]) -> NDArray[np.uint8]:
    content = bytearray()
    for piece in pieces:
        if isinstance(piece, bytes):
            content += piece
        elif content:
            distance, nbytes = piece
            for _ in range(nbytes):
                content.append(content[-min(distance, len(content))])
    return np.frombuffer(bytes(content), dtype=np.uint8)


def noise(nbytes: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, nbytes, dtype=np.uint8)


@given(PIECES)
def test_decoders_of_others_read_what_is_written(pieces: list[bytes | tuple[int, int]]) -> None:
    content = built(pieces)
    written = zlib_compress(content)
    assert zlib.decompress(written) == content.tobytes()
    assert deflate.zlib_decompress(written, len(content)) == content.tobytes()
    assert len(written) <= len(content) * 9 / 8 + 24


@pytest.mark.parametrize("length", [*range(1, 20), *range(250, 270), *range(510, 530), 70_000])
def test_repeats_of_all_lengths_are_read_again(length: int) -> None:
    content = np.concatenate([noise(30), np.full(length, 7, dtype=np.uint8), noise(30)])
    assert zlib.decompress(zlib_compress(content)) == content.tobytes()


@pytest.mark.parametrize("distance", [8, 9, 255, 256, 257, 4096, 32_767, 32_768, 32_769])
def test_repeats_are_found_as_far_back_as_the_format_allows(distance: int) -> None:
    first = noise(distance)
    content = np.concatenate([first, first[: min(distance, 300)]])
    written = zlib_compress(content)
    assert zlib.decompress(written) == content.tobytes()
    assert (len(written) < len(content)) == (16 <= distance <= 32_768)


@pytest.mark.parametrize("nbytes", [0, 1, 15, 16, 65_535, 65_536, 200_000])
def test_noise_is_stored(nbytes: int) -> None:
    written = zlib_compress(noise(nbytes))
    assert zlib.decompress(written) == noise(nbytes).tobytes()
    if nbytes >= 16:
        assert noise(nbytes)[: min(nbytes, 65_535)].tobytes() in written
        assert len(written) < nbytes + 20 + 5 * (nbytes // 65_535 + 1)


def test_black_takes_next_to_nothing() -> None:
    assert len(zlib_compress(np.zeros(65_536, dtype=np.uint8))) < 700
