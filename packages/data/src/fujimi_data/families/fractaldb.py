"""FractalDB: fractals of iterated function systems; the class sets the system."""

import numpy as np
from numpy.typing import NDArray

from fujimi_data.families.fractaldb_drawing import Recipe, drawing
from fujimi_data.families.fractaldb_instances import FLIPS, PATTERNS, row_of
from fujimi_data.families.fractaldb_search import reference_categories
from fujimi_data.families.ifs_picture import flipped
from fujimi_data.families.keys import check

__all__ = ["reference_categories", "render"]


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
    weights: float = 0.4,
    fill_rate: float = 0.2,
    reject_diverging: bool = True,
) -> NDArray[np.uint8]:
    """Draw one picture.

    A category is a system of 2 to 7 affine maps whose points fill enough of a picture. Its 1000 pictures, in the
    authors' order, are 25 variants with one parameter of all maps multiplied by a weight, each with 10 patterns of
    patches, each in 4 flips: instance ``(variant * 10 + pattern) * 4 + flip``. From instance 1000 on come new patterns.
    Pictures of points have one pattern.

    Args:
        seed: Of the data set, 0 to ``2**64 - 1``; to ``2**32 - 1`` in reference mode.
        category: Class, 0 to ``2**32 - 1``.
        instance: Picture of the class, 0 to ``2**32 - 2``.
        pixels: Side of the picture, 16 to 16,384. The fractal fills it but for 6 pixels on each side.
        mode: ``"default"``: random numbers are ours, depend on nothing but the arguments, and any class is found
            without the others. ``"reference"``: pixel for pixel what the authors' code draws; categories are those of
            ``numpy.random.seed(seed)``, 1 for the published ones, maps are chosen by ``numpy.random.seed(100)``, and
            patches by ``random.Random(category * 2**32 + instance // 4)``. Categories are found one after the other,
            about 30 a second.
        draw: ``"patch"``: an opaque random pattern of 3 by 3 pixels at each point, ``"point"``: a pixel.
        colour: Whether the points take 128 colours in turn, in shape (pixels, pixels, 3), rather than one grey.
        points: Of a picture, 1 to 8,388,607.
        weights: w of the weights ``1 - 2 w``, ``1 - w``, ``1 + w``, ``1 + 2 w``; 0 to 0.5.
        fill_rate: Least share of the pixels that a category's 100,000 points fill in a picture of 512; above 0, up to
            0.25.
        reject_diverging: In default mode, draw a weight anew, nearer to 1, if the points run away or nearly all lie on
            a few pixels: :func:`proper_variant`. Otherwise, and in reference mode, such pictures hold a few dots,
            as the authors' do: 4.6 % of their variants reach infinity, and another 2.4 % coordinates above 10,000.

    Raises:
        ValueError: If an argument is outside its range.

    Source:
        H. Kataoka et al., "Pre-training without Natural Images", ACCV 2020; repository
        FractalDB-Pretrained-ResNet-PyTorch, whose ``exe.sh`` has the defaults, and 362 pixels.
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
        reject_diverging=reject_diverging,
    )
    number, flip = divmod(instance, FLIPS)
    row = row_of(number, patterns=PATTERNS if draw == "patch" else 1)
    return flipped(drawing(recipe, category, number, row, pixels), flip)
