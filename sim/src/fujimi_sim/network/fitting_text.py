"""Fitted transports as TOML, with what is left of the errors."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import MISSING, fields

from fujimi_core.machine import Regime, Transport
from fujimi_core.units import format_quantity, unit_of

from fujimi_sim.network.comparison import Compared
from fujimi_sim.network.fitting import Fitted, Place
from fujimi_sim.network.report import Errors


def fitted_toml(found: Fitted) -> str:
    """The section ``network.transports`` of a machine file, thresholds as they were."""
    groups: dict[str, list[Compared]] = defaultdict(list)
    for row in found.rows:
        groups[row.measured.collective].append(row)
    lines = [
        f"# {_shown('all', found.rows)}",
        *(f"# {_shown(name, rows)}" for name, rows in sorted(groups.items())),
        *(f"# {_dotted(place)}: kept, no measurement depends on it" for place in found.without_effect),
        "",
        "[network.transports]",
        f'source = "fitted by `fujimi network fit {found.machine.name}` to {len(found.rows)} measurements"',
    ]
    for name, transport in found.machine.network.transports.items():
        lines += ["", f"[network.transports.value.{name}]", *_transport(name, transport, found)]
    return "\n".join(lines)


def _transport(name: str, transport: Transport, found: Fitted) -> Iterator[str]:
    for field, value in _given(transport):
        yield f"{field} = {_toml(field, value)}{_before((name, None, field), found)}"
    yield "regimes = ["
    for index, regime in enumerate(transport.regimes):
        inside = ", ".join(f"{field} = {_toml(field, value)}" for field, value in _given(regime))
        changes = "".join(_before((name, index, field), found) for field, _ in _given(regime))
        yield f"    {{ {inside} }},{changes}"
    yield "]"


def _given(record: Transport | Regime) -> Iterator[tuple[str, float]]:
    """Fields that differ from what they are if a file does not give them."""
    for field in fields(record):
        value = getattr(record, field.name)
        if field.name != "regimes" and (field.default is MISSING or value != field.default):
            yield field.name, value


def _toml(field: str, value: float) -> str:
    unit = unit_of(field)
    if unit in (None, "B"):
        return f"{value:_.0f}"
    return f'"{format_quantity(value, unit or "")}"'


def _before(place: Place, found: Fitted) -> str:
    if place not in found.before or found.before[place] == found.after[place]:
        return ""
    return f"  # {place[2]} was {format_quantity(found.before[place], unit_of(place[2]) or '')}"


def _dotted(place: Place) -> str:
    name, index, field = place
    return f"{name}.{field}" if index is None else f"{name}.regimes[{index}].{field}"


def _shown(name: str, rows: list[Compared] | tuple[Compared, ...]) -> str:
    errors = Errors.of(rows)
    return (
        f"{name}: {errors.rows} rows, mean absolute error {errors.mean_absolute:.1%},"
        f" median {errors.median_absolute:.1%}, bias {errors.bias:+.1%}"
    )
