"""OFDB: FractalDB with one picture a class, the one that represents it."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.families.fractaldb_drawing import Recipe, drawing
from fujimi_data.families.fractaldb_instances import FIRST_ROW, UNCHANGED_ROW
from fujimi_data.families.ifs_picture import flipped
from fujimi_data.families.keys import check


def render(
    *,
    seed: int,
    category: int,
    instance: int,
    pixels: int,
    mode: str = "default",
    draw: str = "patch",
    colour: bool = False,
    points: int = 200_000,
    weights: float = 0.0,
    fill_rate: float = 0.2,
) -> NDArray[np.uint8]:
    """Draw one picture.

    It is that of the category itself, with no parameter changed and no flip. The dataset holds instance 0; from
    instance 1 on, points and patches are other ones.

    Args:
        seed: Of the data set, 0 to ``2**64 - 1``; to ``2**32 - 1`` in reference mode.
        category: Class, 0 to ``2**32 - 1``.
        instance: Picture of the class, 0 to ``2**32 - 2``.
        pixels: Side of the picture, 16 to 16,384.
        mode: As of FractalDB; in reference mode the patches are those of ``random.Random(category * 2**32 +
            instance)``.
        draw: ``"patch"`` or ``"point"``.
        colour: Whether the points take 128 colours in turn, in shape (pixels, pixels, 3), rather than one grey.
        points: Of a picture, 1 to 8,388,607.
        weights: 0 for the category itself, which the paper describes and the authors' ``weights/one_ins.csv`` has. The
            authors' ``exe_parallel.sh`` takes the first row of the weights of 0.4 instead, in which parameter a of all
            maps is multiplied by 0.2: that is what other numbers do, with ``1 - 2 weights``; to 0.5.
        fill_rate: Least share of the pixels that a category's 100,000 points fill in a picture of 512; above 0, up to
            0.25.

    Raises:
        ValueError: If an argument is outside its range.

    Source:
        R. Nakamura et al., "Pre-training Vision Transformers with Very Limited Synthesized Images", ICCV 2023;
        repository OFDB, ``2d-ofdb-generator``, of which ``exe_parallel.sh`` has the defaults, and 362 pixels.
    """
    check(seed=seed, category=category, instance=instance, pixels=pixels)
    recipe = Recipe(
        seed=seed,
        mode=mode,
        draw=draw,
        colour=colour,
        points=points,
        weights=weights,
        fill_rate=fill_rate,
        reject_diverging=True,
    )
    row = FIRST_ROW if weights else UNCHANGED_ROW
    return flipped(drawing(recipe, category, instance, row, pixels), 0)
