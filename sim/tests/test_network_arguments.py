"""Sizes, grids and numbers as users write them."""

import pytest
from fujimi_core.errors import FujimiError
from fujimi_sim import network_arguments as read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("32", [32]),
        ("32,4KiB,512MiB", [32, 4096, 512 * 2**20]),
        ("1GB, 2 kB", [10**9, 2000]),
        ("8bit", [1]),
        ("32,…,512", [32, 64, 128, 256, 512]),
        ("1,32,64,...,256,1kB", [1, 32, 64, 128, 256, 1000]),
        ("3,…,12,…,24", [3, 6, 12, 24]),
        ("4,4,8", [4, 8]),
    ],
)
def test_sizes_have_units_and_an_ellipsis_doubles(text: str, expected: list[int]) -> None:
    assert read.sizes(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("0", "'0' is below 1 byte"),
        ("-5", "'-5' is below 1 byte"),
        ("1,000", "'000' is below 1 byte; a comma begins another size"),
        ("1.5B", "'1.5B' is no whole number of bytes"),
        ("", "'' is no quantity"),
        ("4,", "'' is no quantity"),
        ("many", "'many' is no quantity"),
        ("1 s", "'1 s' is in s; expected B"),
        ("…,8", "an ellipsis stands between two sizes"),
        ("8,…", "an ellipsis stands between two sizes"),
        ("8,…,…,16", "an ellipsis stands between two sizes"),
        ("8,…,24", "doubling the size before the ellipsis does not lead to 24 bytes"),
        ("8,…,8", "doubling the size before the ellipsis does not lead to 8 bytes"),
        ("8,…,4", "doubling the size before the ellipsis does not lead to 4 bytes"),
        ("32..64", "'32..64'"),
        ("nan", "'nan'"),
        ("1e999B", "'1e999B'"),
    ],
)
def test_what_is_no_list_of_sizes_is_refused_with_examples(text: str, why: str) -> None:
    with pytest.raises(FujimiError) as refused:
        read.sizes(text)
    said = str(refused.value)
    assert said.startswith(f"--bytes {text}: ")
    assert why in said
    assert said.endswith("write for example 32,4KiB or 32,…,512MiB")


def test_numbers_of_nodes_are_kept_once() -> None:
    assert read.counts("64,4096,64") == [64, 4096]
    assert read.count("64") == 64


@pytest.mark.parametrize("text", ["0", "-1", "1,000", "a", "", "1,,2", "1.5", "1_000"])
def test_what_is_no_number_of_nodes_is_refused(text: str) -> None:
    with pytest.raises(FujimiError, match=r"^--nodes .*: (write whole numbers|at least 1 node)"):
        read.counts(text)


def test_one_number_is_one_number() -> None:
    with pytest.raises(FujimiError, match=r"--nodes 1,2: one number is needed"):
        read.count("1,2")


def test_shape_has_extents() -> None:
    assert read.shape("48x6x48") == (48, 6, 48)
    assert read.shape("7") == (7,)


@pytest.mark.parametrize("text", ["", "x", "4x", "4xx4", "4x-1", "4,4", "0x4", "axb"])
def test_what_is_no_shape_is_refused(text: str) -> None:
    with pytest.raises(FujimiError, match=r"^--shape .*: (write extents|each extent)"):
        read.shape(text)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "two"])
def test_ranks_of_a_node_are_at_least_one(text: str) -> None:
    assert read.ranks_per_node("48") == 48
    with pytest.raises(FujimiError, match=r"^--ranks-per-node .*: write a whole number of at least 1"):
        read.ranks_per_node(text)
