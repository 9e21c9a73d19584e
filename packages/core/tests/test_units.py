"""Quantities: factors from the SI and IEC prefixes, and texts that are none."""

import re

import pytest
from fujimi_core.units import SUFFIXES, count_of, format_quantity, parse, unit_of
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("1 kB", "B", 10**3),
        ("1 KiB", "B", 2**10),
        ("1 EB", "B", 10**18),
        ("1 EiB", "B", 2**60),
        ("8 bit", "B", 1),
        ("200 Gbit/s", "B/s", 25 * 10**9),
        ("200 Gb/s", "B/s", 25 * 10**9),
        ("12,288 B", "B", 12_288),
        ("1_000 B", "B", 1_000),
        ("1,234.5 B", "B", 1234.5),
        ("3 min", "s", 180),
        ("2 h", "s", 7_200),
        ("0.49 us", "s", 4.9e-7),
        ("0.49 µs", "s", 4.9e-7),
        ("5ns", "s", 5e-9),
        ("1e3 FLOP", "FLOP", 1e3),
        ("3.3792 TFLOP/s", "FLOP/s", 3.3792e12),
        ("2.2 GHz", "Hz", 2.2e9),
        ("30 MW", "W", 30e6),
        (" -2 J ", "J", -2),
    ],
)
def test_text_is_number_times_prefix_times_unit(text: str, unit: str, expected: float) -> None:
    assert parse(text, unit) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "unit", "message"),
    [
        ("", "B", "'' is no quantity; write a number and a unit, for example '1 B'"),
        ("GB", "B", "'GB' is no quantity"),
        ("fast", "B/s", "'fast' is no quantity"),
        ("1.2.3 B", "B", "'1.2.3 B' is no quantity"),
        ("1,5 GB", "B", "'1,5 GB' is no quantity"),
        ("1,50,000 B", "B", "'1,50,000 B' is no quantity"),
        ("nan B", "B", "'nan B' is no quantity"),
        ("1e400 B", "B", "'1e400 B' is no quantity"),
        ("5 GB/s/s", "B/s", "'5 GB/s/s' is no quantity"),
        ("10 gb", "B", "'10 gb': unknown unit 'gb'; expected B"),
        ("10 kmin", "s", "unknown unit 'kmin'; expected s"),
        ("6.8 GB", "B/s", "'6.8 GB' is in B; expected B/s"),
        ("6.8 GB/s", "B", "'6.8 GB/s' is in B/s; expected B"),
        ("6.8", "B/s", "unknown unit ''; expected B/s"),
    ],
)
def test_text_that_is_no_such_quantity_is_refused_with_what_was_expected(text: str, unit: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse(text, unit)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "B", "0 B"),
        (999, "B", "999 B"),
        (999.96, "B", "1 kB"),
        (38.1e9, "B/s", "38.1 GB/s"),
        (158_976, "s", "158,976 s"),
        (2.5e-3, "s", "2.5 ms"),
        (1.05e-6, "s", "1.05 µs"),
        (5e-12, "s", "0.005 ns"),
        (28e6, "W", "28 MW"),
        (-6.8e9, "B/s", "-6.8 GB/s"),
    ],
)
def test_quantity_is_written_with_the_prefix_that_leaves_one_to_three_digits(
    value: float, unit: str, text: str
) -> None:
    assert format_quantity(value, unit) == text


@given(
    value=st.floats(min_value=1e-9, max_value=1e20),
    unit=st.sampled_from(["B", "B/s", "FLOP", "FLOP/s", "s", "W"]),
)
def test_what_is_written_is_read_back_to_four_digits(value: float, unit: str) -> None:
    text = format_quantity(value, unit)
    assert parse(text, unit) == pytest.approx(value, rel=1e-3, abs=1e-12)


def test_name_of_a_field_tells_its_unit() -> None:
    assert unit_of("link_bandwidth_bytes_per_s") == "B/s"  # not s, which it ends in too
    assert unit_of("peak_flops_per_s") == "FLOP/s"
    assert unit_of("nbytes") == "B"
    assert unit_of("nodes") is None
    assert all(unit_of(f"x{suffix}") == unit for suffix, unit in SUFFIXES.items())


@pytest.mark.parametrize(("number", "words"), [(1, "1 node"), (2, "2 nodes"), (158_976, "158,976 nodes")])
def test_one_thing_is_no_things(number: int, words: str) -> None:
    assert count_of(number, "node") == words
