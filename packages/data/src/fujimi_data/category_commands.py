"""Command that writes the categories of FractalDB as their authors do: fujimi data categories."""

import argparse
from pathlib import Path

from fujimi_core.atomic import atomic_file
from fujimi_core.errors import FujimiError
from fujimi_core.offers import Command
from fujimi_core.plugins import Plugins

from fujimi_data.making import make_directory


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--count", metavar="N", type=int, required=True, help="how many, about 30 a second")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="for 00000.csv, 00001.csv, …")
    parser.add_argument("--seed", metavar="S", type=int, default=1, help="of numpy (default: 1, the published ones)")
    parser.add_argument(
        "--fill-rate", metavar="R", type=float, default=0.2, help="least share of pixels that are lit (default: 0.2)"
    )


def _categories(arguments: argparse.Namespace, plugins: Plugins) -> int:
    # numba takes longer to import than most commands take to run
    import numpy as np

    from fujimi_data.families.fractaldb import reference_categories

    try:
        found = reference_categories(arguments.count, seed=arguments.seed, fill_rate=arguments.fill_rate)
    except ValueError as wrong:
        raise FujimiError(str(wrong)) from None
    make_directory(arguments.out)
    for number, category in enumerate(found):
        with atomic_file(arguments.out / f"{number:05d}.csv") as file:
            np.savetxt(file, category, delimiter=",")
    print(f"{arguments.out}: {len(found):,} categories; a row is a, b, c, d, e, f and the probability of a map")
    return 0


COMMANDS = (
    Command(
        path=("data", "categories"),
        summary="write FractalDB's categories, as its authors search for them",
        configure=_configure,
        run=_categories,
    ),
)
