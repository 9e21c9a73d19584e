"""Tables to records and back, and messages about tables that do not fit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import pytest
from fujimi_core.errors import MachineError
from fujimi_core.records import build, to_table
from hypothesis import given
from hypothesis import strategies as st


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    name: str
    mass_bytes: int = 0
    delay_s: float | None = None

    def __post_init__(self) -> None:
        if self.mass_bytes < 0:
            raise ValueError(f"mass_bytes is {self.mass_bytes}; at least 0 is needed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    part: Part
    parts: tuple[Part, ...] = ()
    peak_flops_per_s: Mapping[str, float] = field(default_factory=dict)
    colour: Colour = Colour.RED
    share: float = 0.5


def whole(**table: Any) -> Whole:
    return build(Whole, {"part": {"name": "a"}} | table, where="whole.toml", error=MachineError)


def test_texts_with_units_become_si_numbers_wherever_a_field_says_a_unit() -> None:
    record = whole(
        part={"name": "a", "mass_bytes": "25 MiB", "delay_s": "0.5 us"},
        parts=[{"name": "b", "mass_bytes": "4.35 MB"}],
        peak_flops_per_s={"float32": "3 TFLOP/s"},
    )
    assert record.part == Part(name="a", mass_bytes=25 * 2**20, delay_s=5e-7)
    assert record.parts == (Part(name="b", mass_bytes=4_350_000),)  # 4.35 * 1e6 is a hair below
    assert record.peak_flops_per_s == {"float32": 3e12}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"colur": 1},
            "Unknown key: 'colur'. Known: colour, part, parts, peak_flops_per_s, share. Did you mean 'colour'?",
        ),
        ({"part": {"nam": "a"}}, "Unknown key: 'part.nam'."),
        ({"parts": [{"name": "a"}, {"nme": "b"}]}, "Unknown key: 'parts[1].nme'."),
        ({"part": {}}, "part.name is missing"),
        ({"part": 5}, "part: Expected a table, got `int`"),
        ({"parts": {}}, "parts: Expected a list, got a table"),
        ({"part": {"name": 5}}, "part.name: Expected `str`, got `int`"),
        ({"parts": [{"name": "a", "mass_bytes": 1.5}]}, "parts[0].mass_bytes: Expected `int`, got `float`"),
        ({"part": {"name": "a", "mass_bytes": "1.5 B"}}, "part.mass_bytes: '1.5 B' is no whole number of B"),
        ({"part": {"name": "a", "mass_bytes": "1 s"}}, "part.mass_bytes: '1 s' is in s; expected B"),
        ({"part": {"name": "a", "mass_bytes": -1}}, "part: mass_bytes is -1; at least 0 is needed"),
        ({"part": {"name": "a", "delay_s": float("nan")}}, "part.delay_s is nan; a finite number is needed"),
        ({"share": float("inf")}, "share is inf; a finite number is needed"),
        ({"peak_flops_per_s": {"float32": "3 TB/s"}}, "peak_flops_per_s.float32: '3 TB/s' is in B/s; expected FLOP/s"),
        ({"colour": "rde"}, "Unknown colour: 'rde'. Known: blue, red. Did you mean 'red'?"),
        ({"share": "half"}, "share: Expected `float`, got `str`"),
        ({"share": True}, "share: Expected `float`, got `bool`"),
    ],
)
def test_table_that_does_not_fit_is_refused_with_file_and_key(table: dict[str, Any], message: str) -> None:
    with pytest.raises(MachineError) as refused:
        whole(**table)
    assert str(refused.value).startswith(f"whole.toml: {message}")


def test_missing_key_at_the_top_is_named() -> None:
    with pytest.raises(MachineError, match=r"^whole.toml: part is missing$"):
        build(Whole, {}, where="whole.toml", error=MachineError)


@given(
    mass=st.integers(0, 2**62),
    delay=st.none() | st.floats(0, 1e9),
    colour=st.sampled_from(Colour),
    peaks=st.dictionaries(st.text(), st.floats(0, 1e30)),
)
def test_record_written_as_a_table_is_read_back_the_same(
    mass: int, delay: float | None, colour: Colour, peaks: dict[str, float]
) -> None:
    part = Part(name="a", mass_bytes=mass, delay_s=delay)
    record = Whole(part=part, parts=(part, part), peak_flops_per_s=peaks, colour=colour)
    table = {key: list(value) if isinstance(value, tuple) else value for key, value in to_table(record).items()}
    assert build(Whole, table, where="here", error=MachineError) == record


def test_only_records_become_tables() -> None:
    with pytest.raises(TypeError, match="int is no record"):
        to_table(5)
