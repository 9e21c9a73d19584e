"""Offers: what a command may be called."""

import numpy as np
import pytest
from fujimi_core.offers import Command, Generator, Option
from numpy.typing import NDArray


def command(*path: str) -> Command:
    return Command(path=path, summary="do it", configure=lambda parser: None, run=lambda arguments, plugins: 0)


def test_name_of_a_command_is_its_words() -> None:
    assert command("machine", "list").name == "machine list"


@pytest.mark.parametrize("path", [(), ("a", "b", "c"), ("",), ("machine", "")])
def test_command_is_a_noun_or_a_noun_and_a_verb(path: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="a command has a noun, or a noun and a verb; got path"):
        command(*path)


def dots(*, seed: int, category: int, instance: int, pixels: int, **options: object) -> NDArray[np.uint8]:
    return np.zeros((pixels, pixels), dtype=np.uint8)


DOTS = Generator(name="dots", summary="", render=dots, options={"points": 100, "weight": 0.5, "colour": False})


def test_options_that_are_not_given_have_their_defaults() -> None:
    assert DOTS.complete({"weight": 1}) == {"points": 100, "weight": 1.0, "colour": False}


def test_option_that_a_family_does_not_have_is_refused_with_those_it_has() -> None:
    with pytest.raises(ValueError, match=r"Unknown option of dots: 'color'\. Known: colour, points, weight"):
        DOTS.complete({"color": True})


@pytest.mark.parametrize(("name", "value"), [("points", 1.5), ("points", True), ("colour", 1), ("weight", "much")])
def test_option_of_another_type_is_refused(name: str, value: Option) -> None:
    with pytest.raises(ValueError, match=f"option {name} of dots is {value!r}; it must be of type"):
        DOTS.complete({name: value})


def test_number_that_is_too_large_is_refused() -> None:
    with pytest.raises(ValueError, match="option weight of dots has 400 digits: too large"):
        DOTS.complete({"weight": int("9" * 400)})
