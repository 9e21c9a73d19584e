"""Node-hours and energy of a run."""

from dataclasses import dataclass

from fujimi_core.facilities import Power, PowerState

from fujimi_sim.run.outcome import Outcome
from fujimi_sim.run.spec import RunSpec

_HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """What a run takes, by what its nodes do meanwhile.

    Args:
        busy_j: While they train.
        idle_j: While they stage, start and stand still; and of spares all the time.
    """

    busy_j: float
    idle_j: float

    @property
    def total_j(self) -> float:
        """All of it."""
        return self.busy_j + self.idle_j


def node_hours(outcome: Outcome, spec: RunSpec) -> float:
    """Nodes, spares among them, times the hours for which they are held."""
    return (spec.nodes + spec.spares) * outcome.held_s / _HOUR_S


def energy_of(outcome: Outcome, spec: RunSpec, power: Power, state: PowerState) -> Energy:
    """Energy of a run in a power state.

    Args:
        outcome: What it spent its time on.
        spec: Its nodes.
        power: Of a node that waits.
        state: Of nodes that train.
    """
    idle_node_s = spec.nodes * (outcome.held_s - outcome.busy_s) + spec.spares * outcome.held_s
    return Energy(busy_j=spec.nodes * outcome.busy_s * state.busy_w, idle_j=idle_node_s * power.idle_w)
