"""How long a pipeline takes, as arithmetic."""

import numpy as np
from fujimi_core.job import Schedule
from numpy.typing import NDArray

Seconds = NDArray[np.float64]


def pipeline_s(
    schedule: Schedule,
    forward_s: Seconds,
    backward_s: Seconds,
    *,
    microbatches: int,
    virtual_stages: int = 1,
    weights_s: Seconds | float = 0.0,
    message_s: float = 0.0,
) -> float:
    """Time of all microbatches.

    The busiest rank works on all of them, and the first and last way through the other ranks is the bubble:
    ``m max(f + b) + (sum of the others' f + b) / v``. Zero-bubble schedules put the weights' gradients w where others
    wait: a rank's share of the bubble is ``f + b - 2 w``. Under 1F1B a rank has no more microbatches under way than
    there are ranks after it, so that messages are waited for all the time, elsewhere on the first and last way only.

    >>> pipeline_s(Schedule.GPIPE, np.ones(4), 2 * np.ones(4), microbatches=8)  # (8 + 4 - 1) 3
    33.0
    >>> pipeline_s(Schedule.INTERLEAVED, np.ones(4), 2 * np.ones(4), microbatches=8, virtual_stages=3)
    27.0

    Args:
        schedule: Order of the work.
        forward_s: Of one microbatch on each pipeline rank, all its stages together.
        backward_s: As ``forward_s``.
        microbatches: m.
        virtual_stages: v, stages of each rank.
        weights_s: w, the part of ``backward_s`` that makes gradients of weights.
        message_s: From one stage to the next.

    Source:
        Narayanan et al., "Megatron-LM", SC 2021, section 2.2; Qi et al., "Zero Bubble", ICLR 2024, table 1 (ZB-H1).
    """
    ranks = len(forward_s)
    each = forward_s + backward_s
    busiest = int(each.argmax())
    halved = schedule is Schedule.ZERO_BUBBLE and ranks > 1
    ramp = np.maximum(each - 2 * weights_s, 0.0) if halved else each
    bubble_s = float(ramp.sum() - ramp[busiest]) / virtual_stages
    ways = 2.0 * (ranks * virtual_stages - 1) * message_s
    if schedule is Schedule.ONE_F_ONE_B:
        ways += 2.0 * microbatches * (ranks - 1) / ranks * message_s
    return microbatches * float(each[busiest]) + bubble_s + ways


def under_way(schedule: Schedule, ranks: int, *, microbatches: int, virtual_stages: int = 1) -> Seconds:
    """Most microbatches of which each pipeline rank keeps activations, counted in all its stages.

    >>> under_way(Schedule.ONE_F_ONE_B, 4, microbatches=8).tolist()
    [4.0, 3.0, 2.0, 1.0]

    A zero-bubble schedule keeps one more for each rank before, whose gradients of weights are put off.

    Args:
        schedule: Order of the work.
        ranks: Of the pipeline.
        microbatches: In a pass.
        virtual_stages: Of each rank.
    """
    after = np.arange(ranks - 1, -1, -1, dtype=np.float64)
    if schedule is Schedule.GPIPE:
        return np.full(ranks, float(microbatches))
    ahead = (virtual_stages - 1) * ranks + after * (1 if virtual_stages == 1 else 2)
    kept = ahead + 1 + (after[::-1] if schedule is Schedule.ZERO_BUBBLE and ranks > 1 else 0)
    return np.minimum(kept, microbatches * virtual_stages) / virtual_stages
