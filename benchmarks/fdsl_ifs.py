"""How many pictures of FractalDB, 1p-frac and contractive systems a core draws, beside plain readings of them.

The plain readings take the definitions word for word: a point after the other, Pillow's paste for each patch; that of
contractive systems is compiled, as the authors' own is. All draw in turns, so that a busy machine slows them all down;
quote the ratios. Pictures are distinct, flips aside; nothing is written or encoded; the search for categories is timed
by itself, against the authors' criterion.

    python benchmarks/fdsl_ifs.py [--rounds 2] [--only fractaldb one_p_frac] [--reference DIR ...]

With checkouts of hirokatsukataoka16/FractalDB-Pretrained-ResNet-PyTorch, SUPER-TADORY/1p-frac and
catalys1/fractal-pretraining, families stand beside the authors' own programs instead.
"""

import argparse
import contextlib
import importlib.util
import io
import os
import random
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numba
import numpy as np
from fujimi_data.families import contractive_ifs, fractaldb, one_p_frac
from fujimi_data.families.contractive_ifs import class_system
from fujimi_data.families.fractaldb_instances import row_of, weight_rows
from fujimi_data.families.fractaldb_search import category_of, reference_categories
from fujimi_data.families.ifs_orbit import System
from fujimi_data.families.keys import class_key
from numpy.typing import NDArray
from PIL import Image

Picture = NDArray[np.uint8]
#: Pictures that ours draws for each of the slow ones.
REPEATS = 100
CATEGORIES = 20


@dataclass(frozen=True, kw_only=True)
class Case:
    """A kind of picture, drawn by us and by others.

    Args:
        name: For people.
        ours: Draws distinct pictures for distinct numbers.
        others: Draws one, more slowly.
        weight: Pictures that the others draw in a round.
    """

    name: str
    ours: Callable[[int], Picture]
    others: Callable[[int], object]
    weight: int = 1


def plain_picture(system: System, *, points: int, pixels: int) -> Picture:
    """FractalDB's definition."""
    bounds = np.cumsum(system[:, 6]).tolist()
    maps = system[:, :6].tolist()
    x = y = 0.0
    xs, ys = [x], [y]
    for uniform in np.random.random(points)[:-1].tolist():
        for (a, b, c, d, e, f), bound in zip(maps, bounds, strict=True):
            if uniform <= bound:
                x, y = x * a + y * b + e, x * c + y * d + f
                break
        xs.append(x)
        ys.append(y)
    columns, rows = (
        ((np.array(values) - min(values)) / (max(values) - min(values)) * (pixels - 12) + 6).astype(int).tolist()
        for values in (xs, ys)
    )
    image = Image.new("RGB", (pixels, pixels))
    for column, row in zip(columns, rows, strict=True):
        patch = np.zeros((3, 3, 3), dtype=np.uint8)
        patch.reshape(9, 3)[:] = [[127 * int(bit)] * 3 for bit in f"{random.randrange(1, 512):09b}"]
        image.paste(Image.fromarray(patch), (column + 1, row + 1))
    return np.asarray(image.transpose(Image.Transpose.FLIP_TOP_BOTTOM))


@numba.njit(error_model="numpy")
def plain_density(system: System, points: int, pixels: int) -> Picture:
    """The definition of contractive systems, drawn as pixels that are on or off."""
    bounds = np.cumsum(system[:, 6])
    xs, ys = np.empty(points), np.empty(points)
    x = y = 0.0
    for i in range(points):
        uniform = np.random.rand()
        j = 0
        while j < len(bounds) - 1 and uniform >= bounds[j]:
            j += 1
        a, b, c, d, e, f, _ = system[j]
        x, y = a * x + b * y + e, c * x + d * y + f
        xs[i], ys[i] = x, y
    picture = np.zeros((pixels, pixels), dtype=np.uint8)
    scale_x, scale_y = (pixels - 1) / (xs.max() - xs.min()), (pixels - 1) / (ys.max() - ys.min())
    low_x, low_y = xs.min(), ys.min()
    for i in range(points):
        picture[int((xs[i] - low_x) * scale_x), int((ys[i] - low_y) * scale_y)] = 1
    return picture


def authors_module(roots: list[Path], path: str, name: str) -> Any:
    """A module of one of the checkouts, or None. What it does not use here and may be missing is left out."""
    found = next((root / path for root in roots if (root / path).is_file()), None)
    if found is None:
        return None
    # cv2 turns hues into colours, and resizes; the authors' types of numpy are of versions before 1.24
    opencv: Any = types.ModuleType("cv2")
    opencv.cvtColor, opencv.COLOR_HSV2RGB = None, 0
    sys.modules.setdefault("cv2", opencv)
    np.str = str  # type: ignore[attr-defined]
    spec = importlib.util.spec_from_file_location(name, found)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def authors_picture(module: Any, system: System, *, points: int, pixels: int) -> None:
    """A picture by the authors' class, which would then save it in four flips, or one."""
    function = module.ifs_function(0.0, 0.0, "", "", "")
    for row in system.tolist():
        function.set_param(*row)
    with contextlib.redirect_stdout(io.StringIO()), mock.patch.object(Image.Image, "save"):
        function.calculate(points)
        function.draw_patch(pixels, pixels, 6, 6, "gray", 0)


def fractaldb_system(number: int) -> System:
    """A category with a weight, and no points that run away."""
    system = category_of(class_key(0, number % CATEGORIES), fill_rate=0.2).copy()
    system[:, :6] *= weight_rows(0.1)[row_of(number, patterns=1)]
    return system


def cases(roots: list[Path]) -> dict[str, list[Case]]:
    fractal_class = authors_module(roots, "fractal_renderer/ifs_function.py", "fractaldb_ifs")
    one_class = authors_module(roots, "1p-frac_generater/src/ifs_function.py", "one_p_frac_ifs")
    contractive = authors_module(roots, "fractal_learning/fractals/ifs.py", "contractive_ifs_module")

    def by(module: Any, *, points: int, pixels: int) -> Callable[[int], object]:
        if module is None:
            return lambda number: plain_picture(fractaldb_system(number), points=points, pixels=pixels)
        return lambda number: authors_picture(module, fractaldb_system(number), points=points, pixels=pixels)

    def fractals(number: int, *, points: int, pixels: int) -> Picture:
        category, drawing = number % CATEGORIES, number // CATEGORIES
        return fractaldb.render(seed=0, category=category, instance=4 * drawing, points=points, pixels=pixels)

    def slow_density(number: int) -> object:
        system = class_system(class_key(0, number % CATEGORIES), least_maps=2, most_maps=4)
        if contractive is None:
            return plain_density(system, 100_000, 256)
        parameters = np.concatenate((system[:, :4].reshape(-1, 2, 2), system[:, 4:6, None]), axis=2)
        return contractive.render(contractive.iterate(parameters, 100_000), 256, binary=True)

    return {
        "fractaldb": [
            Case(
                name="FractalDB, 362, 200,000 points, patches",
                ours=lambda number: fractals(number, points=200_000, pixels=362),
                others=by(fractal_class, points=200_000, pixels=362),
            ),
            Case(
                name="FractalDB, 512, 100,000 points, patches",
                ours=lambda number: fractals(number, points=100_000, pixels=512),
                others=by(fractal_class, points=100_000, pixels=512),
            ),
        ],
        "one_p_frac": [
            Case(
                name="1p-frac, 512, 100,000 points, a class each",
                ours=lambda number: one_p_frac.render(seed=0, category=number, instance=0, pixels=512),
                others=by(one_class, points=100_000, pixels=512),
            )
        ],
        "contractive_ifs": [
            Case(
                name="contractive, 256, 100,000 points, on or off",
                ours=lambda number: contractive_ifs.render(
                    seed=0, category=number % CATEGORIES, instance=number // CATEGORIES, pixels=256, patch=False
                ),
                others=slow_density,
                weight=40,
            )
        ],
    }


def cpu_s(work: Callable[[int], object], numbers: range) -> float:
    started = time.process_time()
    for number in numbers:
        work(number)
    return time.process_time() - started


def compare(case: Case, rounds: int) -> None:
    many = REPEATS * CATEGORIES // 10
    # compiles, finds the categories, and judges the weights
    cpu_s(case.ours, range(many))
    case.others(0)
    ours_s, others_s = [], []
    for turn in range(rounds):
        ours_s.append(cpu_s(case.ours, range(turn * many, turn * many + many)) / many)
        others_s.append(cpu_s(case.others, range(turn * case.weight, (turn + 1) * case.weight)) / case.weight)
    ours, others = 1 / min(ours_s), 1 / min(others_s)
    print(f"{case.name:46} {ours:10.1f} {others:10.3f} {ours / others:10.1f}")


def time_searches() -> None:
    reference_categories(1, seed=2)
    category_of(class_key(1, 0), fill_rate=0.2)
    found_s = cpu_s(lambda _: reference_categories(20, seed=3), range(1)) / 20
    keyed_s = cpu_s(lambda number: category_of(class_key(1, number), fill_rate=0.2), range(1, 101)) / 100
    print(f"search, ms a category: the authors' sequence {1e3 * found_s:.1f}, any one by its key {1e3 * keyed_s:.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=2, help="of which the best counts")
    parser.add_argument("--only", nargs="+", choices=("fractaldb", "one_p_frac", "contractive_ifs"))
    parser.add_argument("--reference", nargs="+", type=Path, default=[], help="checkouts of the authors' repositories")
    arguments = parser.parse_args()
    chosen = arguments.only or ("fractaldb", "one_p_frac", "contractive_ifs")
    print(f"{'pictures a CPU-second':46} {'fujimi':>10} {'others':>10} {'ratio':>10}")
    for name, listed in cases(arguments.reference).items():
        for case in listed if name in chosen else ():
            compare(case, arguments.rounds)
    if "fractaldb" in chosen:
        time_searches()


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
