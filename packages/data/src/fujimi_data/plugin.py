"""What this package offers to Fujimi: a family of pictures, and commands."""

from collections.abc import Sequence

import numpy as np
from fujimi_core.hookspecs import hookimpl
from fujimi_core.offers import Command, Generator
from numpy.typing import NDArray

from fujimi_data import commands


@hookimpl
def fujimi_generators() -> Sequence[Generator]:
    """Offer the families of this package."""
    return [
        Generator(
            name="visualatom",
            summary="closed waves around a point (Takashima et al., CVPR 2023)",
            render=_render_visualatom,
        )
    ]


@hookimpl
def fujimi_commands() -> Sequence[Command]:
    """Offer ``fujimi data …``."""
    return commands.COMMANDS


def _render_visualatom(*, seed: int, category: int, instance: int, pixels: int) -> NDArray[np.uint8]:
    # numba takes longer to import than most commands take to run
    from fujimi_data.visualatom import render

    return render(seed=seed, category=category, instance=instance, pixels=pixels)
