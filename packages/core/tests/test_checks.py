"""Bounds of fields, and what is said about a field outside of them."""

from types import SimpleNamespace

import pytest
from fujimi_core.checks import above_zero, at_least, within

NAN = float("nan")


@pytest.mark.parametrize("value", [0, -1, NAN])
def test_above_zero_names_the_field_and_its_value(value: float) -> None:
    with pytest.raises(ValueError, match=rf"^nodes is {value}; it must be above 0$"):
        above_zero(SimpleNamespace(devices=1, nodes=value), "devices", "nodes")


@pytest.mark.parametrize("value", [0, -1, NAN])
def test_at_least_names_the_field_and_the_bound(value: float) -> None:
    with pytest.raises(ValueError, match=rf"^steps is {value}; at least 1 is needed$"):
        at_least(SimpleNamespace(steps=value), 1, "steps")


@pytest.mark.parametrize("value", [-0.1, 1.1, NAN])
def test_within_names_the_field_and_both_bounds(value: float) -> None:
    with pytest.raises(ValueError, match=rf"^share is {value}; it must be from 0 to 1$"):
        within(SimpleNamespace(share=value), 0, 1, "share")


def test_bounds_themselves_are_allowed() -> None:
    at_least(SimpleNamespace(steps=1), 1, "steps")
    within(SimpleNamespace(low=0, high=1), 0, 1, "low", "high")
