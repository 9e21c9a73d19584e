"""Quantities with units: text such as "6.8 GB/s" to SI numbers and back."""

import math
import re

_DECIMAL = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15, "E": 1e18}
_BINARY = {f"{prefix}i": 1024.0**power for power, prefix in enumerate("KMGTPE", start=1)}
_SMALL = {"m": 1e-3, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "n": 1e-9, "p": 1e-12}

# unit as written -> (the unit it is stored in, factor, prefixes it takes)
_UNITS: dict[str, tuple[str, float, dict[str, float]]] = {
    "B": ("B", 1.0, _DECIMAL | _BINARY),
    "bit": ("B", 1 / 8, _DECIMAL | _BINARY),
    "b": ("B", 1 / 8, _DECIMAL | _BINARY),
    "FLOP": ("FLOP", 1.0, _DECIMAL),
    "s": ("s", 1.0, {"": 1.0} | _SMALL),
    "min": ("s", 60.0, {"": 1.0}),
    "h": ("s", 3600.0, {"": 1.0}),
    "W": ("W", 1.0, _DECIMAL | _SMALL),
    "Hz": ("Hz", 1.0, _DECIMAL),
    "J": ("J", 1.0, _DECIMAL),
}

#: How the name of a field ends, and the unit that a text there must have.
SUFFIXES = {
    "_bytes_per_s": "B/s",
    "_flops_per_s": "FLOP/s",
    "_bytes": "B",
    "nbytes": "B",
    "_flops": "FLOP",
    "_hz": "Hz",
    "_w": "W",
    "_s": "s",
}

# A comma separates thousands and nothing else: "1,5 GB" is 1.5 GB to one half of the world and 15 GB to no one.
_QUANTITY = re.compile(
    r"\s*([-+]?(?:[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?|[0-9._]+)(?:[eE][-+]?[0-9]+)?)\s*([^\d\s/]*)(/s)?\s*$"
)


def unit_of(field: str) -> str | None:
    """Unit in which a field of this name is stored, or None if it has none.

    >>> unit_of("link_bandwidth_bytes_per_s")
    'B/s'
    >>> unit_of("instructions_per_s")  # a number of things a second is a number
    """
    unit = next((unit for suffix, unit in SUFFIXES.items() if field.endswith(suffix)), None)
    return None if unit == "s" and field.endswith("_per_s") else unit


def parse(text: str, unit: str) -> float:
    """Read a quantity, in the SI unit that is asked for.

    >>> parse("6.8 GB/s", "B/s")
    6800000000.0
    >>> parse("200 Gbit/s", "B/s")
    25000000000.0
    >>> parse("25 MiB", "B")
    26214400.0

    Args:
        text: Number, prefix and unit: ``"0.49 us"``, ``"32 GiB"``, ``"12,288 B"``.
        unit: One of ``B, B/s, FLOP, FLOP/s, s, W, Hz, J``.

    Raises:
        ValueError: If the text is no quantity, or has another unit.
    """
    match = _QUANTITY.match(text)
    number = _number(match.group(1)) if match else None
    if match is None or number is None:
        raise ValueError(f"{text!r} is no quantity; write a number and a unit, for example '1 {unit}'")
    found = _split(match.group(2))
    if found is None:
        raise ValueError(f"{text!r}: unknown unit {match.group(2)!r}; expected {unit}")
    base, factor = found
    given = base + (match.group(3) or "")
    if given != unit:
        raise ValueError(f"{text!r} is in {given or 'no unit'}; expected {unit}")
    return number * factor


def format_quantity(value: float, unit: str) -> str:
    """Write a quantity with the prefix that leaves one to three digits before the point.

    >>> format_quantity(6.8e9, "B/s")
    '6.8 GB/s'
    >>> format_quantity(4.9e-7, "s")
    '490 ns'

    Args:
        value: The quantity in SI units.
        unit: What it is measured in.
    """
    prefixes = {"": 1.0} | ({} if unit == "s" else _DECIMAL)
    if unit in ("s", "W"):
        prefixes |= {"m": 1e-3, "µ": 1e-6, "n": 1e-9}
    fitting = [(scale, prefix) for prefix, scale in prefixes.items() if abs(value) >= scale * 0.99995]
    scale, prefix = max(fitting, default=min((s, p) for p, s in prefixes.items()))
    if value == 0:
        scale, prefix = 1.0, ""
    digits = f"{value / scale:.4g}" if abs(value / scale) < 1e4 else f"{value / scale:,.0f}"
    return f"{digits} {prefix}{unit}"


def format_memory(nbytes: float) -> str:
    """Write how much memory something is, as memories are sold.

    >>> format_memory(32 * 2**30), format_memory(3 * 2**20)
    ('32 GiB', '3 MiB')
    """
    scale, prefix = next((s, p) for p, s in reversed(_BINARY.items()) if nbytes >= s * 0.99995 or p == "Ki")
    return f"{nbytes / scale:.4g} {prefix}B"


def count_of(number: int, what: str) -> str:
    """Write a number of things.

    >>> count_of(1, "node"), count_of(1_024, "node")
    ('1 node', '1,024 nodes')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _number(text: str) -> float | None:
    try:
        number = float(text.replace(",", ""))
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _split(name: str) -> tuple[str, float] | None:
    """Prefix and unit of a written unit: its SI unit and the factor to it."""
    for written, (base, factor, prefixes) in _UNITS.items():
        prefix = name.removesuffix(written)
        if name.endswith(written) and prefix in prefixes:
            return base, factor * prefixes[prefix]
    return None
