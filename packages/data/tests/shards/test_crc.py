import google_crc32c
import numpy as np
import pytest
from fujimi_data.shards import crc
from hypothesis import given
from hypothesis import strategies as st


@given(st.integers(0, 2000), st.integers(0, 99))
def test_sums_are_those_of_google(words: int, seed: int) -> None:
    content = np.random.default_rng(seed).integers(0, 2**64, words, dtype=np.uint64)
    assert crc.crc32c_words(content) == google_crc32c.value(content.tobytes())


@pytest.mark.parametrize("word", [0, 1, 2**63, 2**64 - 1, 0x0123456789ABCDEF])
def test_tables_do_what_the_instruction_does(word: int) -> None:
    # RFC 3720: begin and end with all bits inverted
    after = crc._word_by_table(np.uint64(0xFFFFFFFF), np.uint64(word))
    assert int(after) ^ 0xFFFFFFFF == google_crc32c.value(word.to_bytes(8, "little"))
