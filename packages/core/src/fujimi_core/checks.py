"""Checks on the fields of records, worded for whoever wrote the file."""


def above_zero(record: object, *names: str) -> None:
    """Refuse fields that are not above 0.

    Raises:
        ValueError: Names the first such field and its value.
    """
    for name in names:
        if not getattr(record, name) > 0:
            raise ValueError(f"{name} is {getattr(record, name)}; it must be above 0")


def at_least(record: object, least: float, *names: str) -> None:
    """Refuse fields below a bound.

    Raises:
        ValueError: Names the first such field and its value.
    """
    for name in names:
        if not getattr(record, name) >= least:
            raise ValueError(f"{name} is {getattr(record, name)}; at least {least} is needed")


def within(record: object, least: float, most: float, *names: str) -> None:
    """Refuse fields outside a closed interval.

    Raises:
        ValueError: Names the first such field and its value.
    """
    for name in names:
        if not least <= getattr(record, name) <= most:
            raise ValueError(f"{name} is {getattr(record, name)}; it must be from {least} to {most}")
