"""The progress bar: on a terminal only, and gone in the end."""

import io
import re
import sys

import pytest
from fujimi_sim.progress_bar import progress_bar, tracked


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(file: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(sys, "stderr", file)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with progress_bar() as begin:
        begin("simulating 1 node", 2)
        begin("simulating 64 nodes", 2)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())


def test_terminal_is_told_what_is_done_and_how_much_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    text = shown(Terminal(), monkeypatch)
    # one of two parts is over when the second begins
    assert re.search(r"simulating 64 nodes\s.*1/2 0:00:00", text)


def test_file_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(io.StringIO(), monkeypatch) == ""


def test_items_are_counted_as_they_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    file = Terminal()
    monkeypatch.setattr(sys, "stderr", file)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    assert list(tracked([3, 1, 2], "comparing")) == [3, 1, 2]
    assert re.search(r"comparing.*2/3", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue()))
