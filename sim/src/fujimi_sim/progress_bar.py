"""A bar on the terminal while something takes long; elsewhere nothing."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")

#: Told that the next part begins: what it is, and how many parts there are.
Begin = Callable[[str, int], None]


@contextmanager
def progress_bar() -> Iterator[Begin]:
    """Show what is being done, how much of it is over and what is left, from the first part on; gone in the end.

    The clock runs on by itself, also within a part that takes long.
    """
    if not sys.stderr.isatty():
        yield lambda what, parts: None
        return
    from rich.console import Console  # only where there is a terminal
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, completed=-1)

        def begin(what: str, parts: int) -> None:
            bar.update(task, description=what, total=parts, advance=1)

        yield begin


def tracked(items: Sequence[Item], what: str) -> Iterator[Item]:
    """Items, with a bar that shows how many of them were taken."""
    with progress_bar() as begin:
        for item in items:
            begin(what, len(items))
            yield item
