"""Offers: what a command may be called."""

import pytest
from fujimi_core.offers import Command


def command(*path: str) -> Command:
    return Command(path=path, summary="do it", configure=lambda parser: None, run=lambda arguments, plugins: 0)


def test_name_of_a_command_is_its_words() -> None:
    assert command("machine", "list").name == "machine list"


@pytest.mark.parametrize("path", [(), ("a", "b", "c"), ("",), ("machine", "")])
def test_command_is_a_noun_or_a_noun_and_a_verb(path: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="a command has a noun, or a noun and a verb; got path"):
        command(*path)
