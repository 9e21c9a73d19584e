"""Fit what transports cost to measurements."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
from fujimi_core.errors import MachineError
from fujimi_core.machine import Machine, Regime, Transport
from numpy.typing import NDArray

from fujimi_sim.network.bench import with_ranks_per_node
from fujimi_sim.network.comparison import Compared
from fujimi_sim.network.timing import Cost

#: Logarithmic errors beyond this count with their size, not with its square: a few rows must not bend all others.
TOLERANCE = 0.1
#: How strongly a parameter holds on to where it began: a factor of e counts as so many rows that are off by as much.
HOLD = 2.0
#: Rounds of the optimisation; each asks for every parameter once.
ROUNDS = 20
#: Parameters whose doubling and halving changes no row by this much cannot be fitted.
NO_EFFECT = 1e-3

#: A transport, the index of one of its regimes or None for the transport itself, and a field.
Place = tuple[str, int | None, str]

Record = TypeVar("Record", Transport, Regime)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """What was fitted.

    Args:
        machine: With the fitted values.
        before: Values of the free parameters before, by place.
        after: Values after.
        without_effect: Parameters that no measurement depends on; they keep their values.
        rows: Measurements, with their costs on the fitted machine.
    """

    machine: Machine
    before: Mapping[Place, float]
    after: Mapping[Place, float]
    without_effect: tuple[Place, ...]
    rows: tuple[Compared, ...]


def free_parameters(machine: Machine) -> dict[Place, float]:
    """Times and rates of the machine's transports that its file gives; thresholds in bytes are not fitted."""
    found: dict[Place, float] = {}
    for name, transport in machine.network.transports.items():
        found |= {(name, None, field): value for field, value in _times_and_rates(transport)}
        for index, regime in enumerate(transport.regimes):
            found |= {(name, index, field): value for field, value in _times_and_rates(regime)}
    return found


def with_parameters(machine: Machine, values: Mapping[Place, float]) -> Machine:
    """The machine with other values."""
    transports = dict(machine.network.transports)
    for (name, index, field), value in values.items():
        transport = transports[name]
        if index is None:
            transports[name] = _changed(transport, field, value)
        else:
            regimes = list(transport.regimes)
            regimes[index] = _changed(regimes[index], field, value)
            transports[name] = replace(transport, regimes=tuple(regimes))
    return replace(machine, network=replace(machine.network, transports=transports))


def fit(rows: Sequence[Compared], machine: Machine) -> Fitted:
    """Find the values with which simulated times are nearest to measured ones.

    Least squares of ``log(simulated / measured)``, with a loss that grows only linearly beyond ten percent
    (``soft_l1``), over the logarithms of the parameters. Each parameter holds on to the value that the machine file
    gives, so that those which few rows can tell apart do not run away.

    Args:
        rows: Measurements, and what they cost on the machine.
        machine: Where to begin.

    Raises:
        MachineError: If there is nothing to fit, or nothing to fit it to.
    """
    from scipy.optimize import least_squares  # takes a quarter of a second to import

    free = free_parameters(machine)
    if not free:
        raise MachineError(
            f"machine {machine.name!r} has no parameters to fit: its file must have network.transports with times and"
            " rates to begin with"
        )
    if not rows:
        raise MachineError(f"no measurement is left to fit machine {machine.name!r} to")
    felt, without_effect = _felt(rows, machine, free)
    start = np.log([free[place] for place in felt])

    def errors(logarithms: NDArray[np.float64]) -> NDArray[np.float64]:
        values = dict(zip(felt, np.exp(logarithms).tolist(), strict=True))
        return np.concatenate([log_errors(rows, with_parameters(machine, values)), HOLD * (logarithms - start)])

    found = least_squares(errors, start, loss="soft_l1", f_scale=TOLERANCE, max_nfev=ROUNDS)
    after = {place: _rounded(value) for place, value in zip(felt, np.exp(found.x).tolist(), strict=True)}
    fitted = with_parameters(machine, after)
    costs = _costs(rows, fitted)
    return Fitted(
        machine=fitted,
        before={place: free[place] for place in felt},
        after=after,
        without_effect=without_effect,
        rows=tuple(replace(row, cost=costs[id(row.cost)]) for row in rows),
    )


def log_errors(rows: Sequence[Compared], machine: Machine) -> NDArray[np.float64]:
    """``log(simulated / measured)`` of each row on a machine."""
    costs = _costs(rows, machine)
    return np.array([math.log(costs[id(row.cost)].seconds(row.measured.nbytes) / row.measured.seconds) for row in rows])


def _costs(rows: Sequence[Compared], machine: Machine) -> dict[int, Cost]:
    """Costs on a machine, each once: many rows share theirs."""
    ranked = {ranks: with_ranks_per_node(machine, ranks) for ranks in {row.measured.ranks_per_node for row in rows}}
    return {id(row.cost): row.cost.on(ranked[row.measured.ranks_per_node]) for row in rows}


def _felt(
    rows: Sequence[Compared], machine: Machine, free: Mapping[Place, float]
) -> tuple[list[Place], tuple[Place, ...]]:
    """Parameters that some row depends on, and the others."""
    felt: list[Place] = []
    others: list[Place] = []
    for place, value in free.items():
        both = [log_errors(rows, with_parameters(machine, {place: factor * value})) for factor in (0.5, 2.0)]
        (felt if np.abs(both[1] - both[0]).max() > NO_EFFECT else others).append(place)
    return felt, tuple(others)


def _changed(record: Record, field: str, value: float) -> Record:
    changes: dict[str, Any] = {field: value}
    return replace(record, **changes)


def _times_and_rates(record: Transport | Regime) -> Iterator[tuple[str, float]]:
    """Fields in seconds or bytes per second that have a value."""
    for field in fields(record):
        value = getattr(record, field.name)
        if field.name.endswith("_s") and value not in (None, 0.0, math.inf):
            yield field.name, value


def _rounded(value: float) -> float:
    """Three significant digits: more would pretend."""
    return float(f"{value:.3g}")
