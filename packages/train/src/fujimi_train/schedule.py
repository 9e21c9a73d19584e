"""Learning rate over the steps of a run."""

import math


def learning_rate(step: int, steps: int, *, warmup_steps: int, highest: float) -> float:
    """Linear warm-up, then a half cosine down to 0.

    >>> [round(learning_rate(step, 10, warmup_steps=2, highest=1.0), 3) for step in (0, 1, 2, 6, 10)]
    [0.5, 1.0, 1.0, 0.5, 0.0]

    Args:
        step: From 0.
        steps: Of the whole run.
        warmup_steps: Steps until the highest value.
        highest: Value between the two.

    Source:
        Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5; Goyal et al., 2017, section 2.2.
    """
    if step < warmup_steps:
        return highest * (step + 1) / warmup_steps
    done = (step - warmup_steps) / max(steps - warmup_steps, 1)
    return highest * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
