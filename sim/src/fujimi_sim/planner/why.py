"""Why one step is longer than another: which part of it, and what of that."""

from collections import defaultdict
from collections.abc import Callable

from fujimi_core.units import format_quantity

from fujimi_sim.breakdown import Part
from fujimi_sim.simulation import Point

#: What is below this share of the difference is not worth a word.
_SHARE = 0.2


def why(point: Point, best: Point) -> str:
    """Tell what takes longer than in the best step, the most first; times are for as many samples as that has.

    Compute, exposed communication and idling add up to the step, so that their differences add up to its own. Behind
    each stands the operator, or the collectives along some axes, that takes the most more.
    """
    scale = best.samples_per_s * best.step_s / (point.samples_per_s * point.step_s)
    more_s = scale * point.step_s - best.step_s
    parts = {
        "compute": (scale * point.compute_s - best.compute_s, _is_kernel),
        "exposed communication": (
            scale * point.exposed_communication_s - best.exposed_communication_s,
            lambda part: not _is_kernel(part),
        ),
        "idling, for other ranks": (scale * point.idle_s - best.idle_s, lambda part: False),
    }
    listed = sorted(parts.items(), key=lambda item: -item[1][0])
    texts = [
        f"{name} {_signed(seconds)}{_most(point, best, scale, chosen)}"
        for name, (seconds, chosen) in listed
        if seconds > _SHARE * abs(more_s)
    ]
    return f"{_signed(more_s)}: {', '.join(texts)}" if texts else f"{_signed(more_s)}: no part takes much longer"


def _is_kernel(part: Part) -> bool:
    return not part.axes


def _most(point: Point, best: Point, scale: float, chosen: Callable[[Part], bool]) -> str:
    more: defaultdict[str, float] = defaultdict(float)
    for each, factor in ((point, scale), (best, -1.0)):
        for part in filter(chosen, each.breakdown):
            name = f"{part.name} along {', '.join(part.axes)}" if part.axes else f"{part.name} {part.phase}"
            more[name] += factor * part.seconds
    if not more:
        return ""
    name, seconds = max(more.items(), key=lambda item: item[1])
    return f" ({name} {_signed(seconds)})" if seconds > 0 else ""


def _signed(seconds: float) -> str:
    return f"{'+' if seconds >= 0 else '-'}{format_quantity(abs(seconds), 's')}"
