"""What this package offers to Fujimi: families of pictures, and commands."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
from fujimi_core.hookspecs import hookimpl
from fujimi_core.offers import Command, Generator, Option, Render
from numpy.typing import NDArray

from fujimi_data import dataset_commands, generate_commands


@hookimpl
def fujimi_generators() -> Sequence[Generator]:
    """Offer the families of this package."""
    return [
        _family(
            "exfractaldb",
            "clouds of points of fractals in space, from many sides (Kataoka et al., CVPR 2022)",
            mode="default",
            colour=False,
            views="random",
            models=145,
            model_views=12,
            redraw=True,
        ),
        _family(
            "newton",
            "basins of Newton's method for polynomials, by root and steps",
            colour=False,
            degree=0,
            iterations=48,
        ),
        _family(
            "rcdb",
            "radial contours: polygons around a point (Kataoka et al., CVPR 2022)",
            mode="default",
            colour=False,
            scaled=True,
        ),
        _family(
            "visualatom",
            "closed waves around a point (Takashima et al., CVPR 2023)",
            mode="default",
            colour=False,
            scaled=True,
        ),
    ]


@hookimpl
def fujimi_commands() -> Sequence[Command]:
    """Offer ``fujimi data …``."""
    return (*generate_commands.COMMANDS, *dataset_commands.COMMANDS)


def _family(name: str, summary: str, **options: Option) -> Generator:
    """The family of the module of that name."""
    return Generator(name=name, summary=summary, render=_later(name), options=options)


def _later(module: str) -> Render:
    def render(*, seed: int, category: int, instance: int, pixels: int, **options: Any) -> NDArray[np.uint8]:
        # numba takes longer to import than most commands take to run
        family: Any = import_module(f"fujimi_data.families.{module}")
        picture: NDArray[np.uint8] = family.render(
            seed=seed, category=category, instance=instance, pixels=pixels, **options
        )
        return picture

    return render
