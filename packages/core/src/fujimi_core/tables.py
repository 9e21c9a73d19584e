"""Plain tables for a terminal."""

from collections.abc import Sequence


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Align columns; numbers to the right.

    >>> print(table(["nodes", "name"], [["64", "a"], ["1,024", "b"]]))
    nodes  name
       64  a
    1,024  b
    """
    lines = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    right = [all(_numeric(row[i]) for row in rows) and bool(rows) for i in range(len(widths))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def _numeric(cell: str) -> bool:
    return cell[:1].isdigit() or cell[:2].strip("-")[:1].isdigit()
