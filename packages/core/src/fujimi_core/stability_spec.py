"""Stability: what a job wants done when its loss is no number or jumps."""

from dataclasses import dataclass
from enum import StrEnum

from fujimi_core.checks import at_least


class Remedy(StrEnum):
    """What is done about a bad step.

    ``stop`` ends the run; ``skip`` leaves out this update; ``rollback`` goes back to the last checkpoint and from there
    on past the samples that led to the bad step.
    """

    STOP = "stop"
    SKIP = "skip"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class StabilitySpec:
    """``[stability]``: what to do about a loss or gradients that are no numbers, and about a loss that jumps.

    Args:
        on_nan: If the loss or the gradients are not finite.
        on_spike: If the loss exceeds `spike_factor` times the median of the last losses.
        spike_factor: Above 1; 0 for no such check. For losses that are never negative.
        spike_window: Losses of which the median is taken; there is no check before half of them are there.
        tries: Bad steps in a row that are skipped, or returns to the same checkpoint, before the run stops.
    """

    on_nan: Remedy = Remedy.STOP
    on_spike: Remedy = Remedy.SKIP
    spike_factor: float = 0.0
    spike_window: int = 128
    tries: int = 5

    def __post_init__(self) -> None:
        if not (self.spike_factor == 0 or self.spike_factor > 1):
            raise ValueError(f"spike_factor is {self.spike_factor}; it must be above 1, or 0 for no check")
        at_least(self, 2, "spike_window")
        at_least(self, 1, "tries")
