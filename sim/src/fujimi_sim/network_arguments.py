"""What users write for networks: sizes, grids and numbers of nodes."""

import re

from fujimi_core import units
from fujimi_core.errors import FujimiError

ELLIPSES = ("…", "...")


def sizes(text: str) -> list[int]:
    """Read sizes in bytes; an ellipsis doubles from the size before it up to the one after it.

    >>> sizes("32,4KiB"), sizes("32,…,256")
    ([32, 4096], [32, 64, 128, 256])

    Raises:
        FujimiError: If the text is something else.
    """
    found: list[int] = []
    doubling = False
    for part in text.split(","):
        if part.strip() in ELLIPSES:
            if doubling or not found:
                raise _no_sizes(text, "an ellipsis stands between two sizes")
            doubling = True
            continue
        size = _size(part, text)
        found += _doubled(found[-1], size, text) if doubling else [size]
        doubling = False
    if doubling:
        raise _no_sizes(text, "an ellipsis stands between two sizes")
    return list(dict.fromkeys(found))


def counts(text: str) -> list[int]:
    """Read numbers of nodes.

    Raises:
        FujimiError: If the text is something else.
    """
    if not re.fullmatch(r"[+-]?[0-9]+(,[+-]?[0-9]+)*", text):
        raise FujimiError(f"--nodes {text}: write whole numbers with commas between, for example 1,64")
    numbers = [int(part) for part in text.split(",")]
    if min(numbers) < 1:
        raise FujimiError(f"--nodes {text}: at least 1 node is needed; a comma begins another number")
    return list(dict.fromkeys(numbers))


def count(text: str) -> int:
    """Read one number of nodes.

    Raises:
        FujimiError: If the text is something else.
    """
    numbers = counts(text)
    if len(numbers) > 1:
        raise FujimiError(f"--nodes {text}: one number is needed, without commas")
    return numbers[0]


def shape(text: str) -> tuple[int, ...]:
    """Read the extents of a grid.

    >>> shape("48x6x48")
    (48, 6, 48)

    Raises:
        FujimiError: If the text is something else.
    """
    if not re.fullmatch(r"[0-9]+(x[0-9]+)*", text):
        raise FujimiError(f"--shape {text}: write extents with an x between, for example 48x6x48")
    extents = tuple(map(int, text.split("x")))
    if min(extents) < 1:
        raise FujimiError(f"--shape {text}: each extent is at least 1")
    return extents


def ranks_per_node(text: str) -> int:
    """Read a number of ranks.

    Raises:
        FujimiError: If the text is something else.
    """
    if not re.fullmatch(r"[0-9]+", text) or int(text) < 1:
        raise FujimiError(f"--ranks-per-node {text}: write a whole number of at least 1")
    return int(text)


def _size(part: str, text: str) -> int:
    part = part.strip()
    if re.fullmatch(r"[+-]?[0-9]+", part):
        nbytes = float(part)
        exact = int(part)
    else:
        try:
            nbytes = units.parse(part, "B")
        except ValueError as wrong:
            raise _no_sizes(text, str(wrong)) from None
        exact = round(nbytes)
    if nbytes < 1:
        raise _no_sizes(text, f"{part!r} is below 1 byte; a comma begins another size")
    if exact != nbytes:
        raise _no_sizes(text, f"{part!r} is no whole number of bytes")
    return exact


def _doubled(first: int, last: int, text: str) -> list[int]:
    """Sizes after the first, each twice the one before, to the last."""
    found = []
    while first < last:
        first *= 2
        found.append(first)
    if not found or first != last:
        raise _no_sizes(text, f"doubling the size before the ellipsis does not lead to {last:,} bytes")
    return found


def _no_sizes(text: str, why: str) -> FujimiError:
    return FujimiError(f"--bytes {text}: {why}; write for example 32,4KiB or 32,…,512MiB")
