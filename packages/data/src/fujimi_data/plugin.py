"""What this package offers to Fujimi: families of pictures, and commands."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
from fujimi_core.hookspecs import hookimpl
from fujimi_core.offers import Command, Generator, Option, Render
from numpy.typing import NDArray

from fujimi_data import category_commands, dataset_commands, generate_commands


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
        _family(
            "fractaldb",
            "fractals of iterated function systems (Kataoka et al., ACCV 2020)",
            mode="default",
            draw="patch",
            colour=False,
            points=200_000,
            weights=0.4,
            fill_rate=0.2,
            reject_diverging=True,
        ),
        _family(
            "ofdb",
            "FractalDB with one picture a class (Nakamura et al., ICCV 2023)",
            mode="default",
            draw="patch",
            colour=False,
            points=200_000,
            weights=0.0,
            fill_rate=0.2,
        ),
        _family(
            "one_p_frac",
            "one fractal, changed slightly for each class (Nakamura et al., ECCV 2024)",
            mode="default",
            colour=False,
            points=100_000,
            maps=2,
            sigma=3.5,
            delta=0.1,
            fill_rate=0.05,
        ),
        _family(
            "contractive_ifs",
            "fractals of maps that contract (Anderson, Farrell, WACV 2022)",
            mode="default",
            look="binary",
            colour=False,
            patch=True,
            points=100_000,
            least_maps=2,
            most_maps=4,
            jitter=True,
            flips=True,
        ),
    ]


@hookimpl
def fujimi_commands() -> Sequence[Command]:
    """Offer ``fujimi data …``."""
    return (*generate_commands.COMMANDS, *dataset_commands.COMMANDS, *category_commands.COMMANDS)


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
