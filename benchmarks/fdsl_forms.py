"""How many pictures of RCDB, VisualAtom, ExFractalDB and Newton fractals a core draws, beside plain readings of them.

RCDB and VisualAtom stand beside their definition, vertex by vertex, with Pillow and the package noise, as the authors'
programs draw them; ExFractalDB beside its definition in Python and numpy; Newton fractals, of degree 5, beside numpy. Both
draw the same classes in turns, so that a busy machine slows both down; quote the ratio. Nothing is written or encoded.

    python benchmarks/fdsl_forms.py [--classes 24] [--only rcdb newton] [--reference DIR]

With a checkout of masora1030/CVPR2022-Pretrained-ViT-PyTorch, ExFractalDB also stands beside the authors' own programs, with
OpenGL as the machine has it; that takes the packages matplotlib, pegl, plyfile, PyGLM and PyOpenGL, and without a display the
variable EGL_PLATFORM=surfaceless.
"""

import argparse
import contextlib
import io
import math
import os
import random
import runpy
import sys
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path

import noise
import numpy as np
from fujimi_data.families import exfractaldb, newton, rcdb, visualatom
from fujimi_data.families.keys import class_key
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Picture = NDArray[np.uint8]
#: Models of a class and views of each that ExFractalDB is timed with.
MODELS, VIEWS = 5, 12


def rcdb_picture(category: int, source: random.Random) -> Picture:
    contours = rcdb.contours_of(class_key(0, category))
    image = Image.new("RGB", (512, 512), (255, 255, 255))
    drawing = ImageDraw.Draw(image)
    angle = math.pi * 2 / contours.vertices
    radius, oval_x, oval_y = source.randint(0, 100), source.uniform(1, 2), source.uniform(1, 2)
    centre_y, centre_x = ((512 + source.randint(-400, 400)) / 2 for _ in range(2))
    x = [math.cos(angle * v) * radius * oval_x for v in range(contours.vertices)]
    y = [math.sin(angle * v) * radius * oval_y for v in range(contours.vertices)]
    for _ in range(contours.polygons):
        grey = source.randint(0, 256)
        noise_x, noise_y = (
            [noise.pnoise1(source.uniform(0, 10_000)) * contours.noise * 2 - contours.noise for _ in x]
            for _ in range(2)
        )
        for v in range(contours.vertices):
            x[v] -= math.cos(angle * v) * (noise_x[v] - contours.gap)
            y[v] -= math.sin(angle * v) * (noise_y[v] - contours.gap)
        for v in range(contours.vertices):
            end = (v + 1) % contours.vertices
            line = (x[v] + centre_x, y[v] + centre_y, x[end] + centre_x, y[end] + centre_y)
            drawing.line(line, fill=(grey, grey, grey), width=1)
    return np.asarray(image)


def visualatom_picture(category: int, source: random.Random) -> Picture:
    atom = visualatom.atom_of(class_key(0, category))
    image = Image.new("RGB", (512, 512))
    drawing = ImageDraw.Draw(image)
    angle = math.pi * 2 / atom.vertices
    centre_y, centre_x = ((512 + source.randint(-512, 512)) / 2 for _ in range(2))
    x = [math.cos(angle * v) * atom.radius * atom.oval_x + centre_x for v in range(atom.vertices)]
    y = [math.sin(angle * v) * atom.radius * atom.oval_y + centre_y for v in range(atom.vertices)]
    for _ in range(atom.orbits):
        grey = source.randint(0, 255)
        noise_x, noise_y = (
            [
                noise.pnoise1(source.uniform(0, 10_000)) * atom.noise
                - atom.noise
                - 0.5 * math.sin(angle * v * atom.waves_1)
                - 0.5 * math.sin(angle * v * atom.waves_2)
                for v in range(atom.vertices)
            ]
            for _ in range(2)
        )
        for v in range(atom.vertices):
            x[v] -= math.cos(angle * v) * (noise_x[v] - atom.gap)
            y[v] -= math.sin(angle * v) * (noise_y[v] - atom.gap)
        for v in range(atom.vertices):
            end = (v + 1) % atom.vertices
            drawing.line((x[v], y[v], x[end], y[end]), fill=(grey, grey, grey), width=1)
    return np.asarray(image)


def exfractaldb_pictures(category: int, source: random.Random) -> list[Picture]:
    """All views of some models of a class."""
    system = exfractaldb.system_of(class_key(0, category))
    sizes = np.abs(np.linalg.det(system.maps[:, :9].reshape(-1, 3, 3)))
    limits = np.cumsum(sizes / sizes.sum()).tolist()
    pictures = []
    for model in range(MODELS):
        points = plain_cloud((system.maps * exfractaldb.weights_of(model)).tolist(), limits)
        for _ in range(VIEWS):
            heading, height = source.uniform(0, 2 * math.pi), source.uniform(-1, 1)
            pictures.append(plain_projection(points, heading, height))
    return pictures


def plain_cloud(maps: list[list[float]], limits: list[float]) -> NDArray[np.float64]:
    x = y = z = 0.0
    points = []
    for word in np.random.random(10_000).tolist():
        for m, limit in zip(maps, limits, strict=True):
            if word <= limit:
                break
        x, y, z = (x * m[3 * row] + y * m[3 * row + 1] + z * m[3 * row + 2] + m[9 + row] for row in range(3))
        points.append((x, y, z))
    cloud = np.array(points).T
    cloud = (cloud - cloud.min()) / (cloud.max() - cloud.min()) * 2 - 1
    return cloud - cloud.mean(axis=1, keepdims=True)


def plain_projection(points: NDArray[np.float64], heading: float, height: float) -> Picture:
    level = math.sqrt(1 - height**2)
    cos, sin = math.cos(heading), math.sin(heading)
    side, up = np.array([-sin, 0, cos]), np.array([-height * cos, level, -height * sin])
    ahead = np.array([level * cos, height, level * sin])
    depth = ahead @ points + 4
    zoomed = 112 / math.tan(math.pi / 8) / depth
    column, row = np.floor(112 + side @ points * zoomed), np.floor(112 - up @ points * zoomed)
    seen = (depth >= 1) & (column >= 0) & (column < 224) & (row >= 0) & (row < 224)
    picture = np.zeros((224, 224), dtype=np.uint8)
    picture[row[seen].astype(int), column[seen].astype(int)] = 255
    return picture


def newton_picture(category: int, source: random.Random) -> Picture:
    key = class_key(0, category)
    polynomial = newton.polynomial_of(key, 5)
    view, levels = newton.view_of(key, source.randrange(1000), iterations=48, colour=False)
    centres = (2 * np.arange(224) + 1) / 224 - 1
    start = view.middle + view.across * centres[None, :] + view.down * centres[:, None]
    z = start.reshape(-1).astype(np.complex64)
    roots = np.array(polynomial.roots, dtype=np.complex64)
    steps = np.zeros(z.shape, dtype=np.intp)
    moving = np.arange(z.size)
    with np.errstate(all="ignore"):
        for _ in range(48):
            apart = z[moving] - roots[:, None]
            moves = (apart.real**2 + apart.imag**2).min(axis=0) >= 1e-4
            moving, apart = moving[moves], apart[:, moves]
            z[moving] -= np.complex64(polynomial.relaxation) / (1 / apart).sum(axis=0)
            steps[moving] += 1
    apart = np.abs(z - roots[:, None])
    reached = np.where(apart.min(axis=0) < 0.01, apart.argmin(axis=0), 8)
    return levels[reached, steps, 0].reshape(224, 224)


def ours(family: types.ModuleType, pixels: int, **options: int) -> Callable[[int, int], object]:
    def draw(category: int, pictures: int) -> None:
        for instance in range(pictures):
            family.render(seed=0, category=category, instance=instance, pixels=pixels, **options)

    return draw


def compare(
    name: str, classes: int, mine: Callable[[int, int], object], plain: Callable[[int], int], *, pictures: int
) -> None:
    """Time both in turns.

    Args:
        name: Of the family and of what it stands beside.
        classes: How many are drawn.
        mine: Draws so many pictures of a class.
        plain: Draws pictures of a class, and says how many.
        pictures: That ours draws of each class.
    """
    mine(0, 2)  # compiles
    mine_s = plain_s = 0.0
    drawn = 0
    for category in range(classes):
        started = time.process_time()
        mine(category, pictures)
        mine_s += time.process_time() - started
        started = time.process_time()
        drawn += plain(category)
        plain_s += time.process_time() - started
    rate, plain_rate = classes * pictures / mine_s, drawn / plain_s
    print(f"{name:<34} {rate:10.1f} {plain_rate:10.2f} {rate / plain_rate:8.1f}", flush=True)


def authors_exfractaldb(root: Path) -> Callable[[int], int]:
    """Pictures of a class by the authors' IteratedFunctionSystem.py and render.py; models are theirs, from files."""
    root = root.resolve() / "exfractaldb_render"
    # imported, and not used, by what is run here
    sys.modules.setdefault("open3d", types.ModuleType("open3d"))
    sys.path[:0] = [str(root / "3dfractal_render"), str(root / "image_render")]
    os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
    from IteratedFunctionSystem import ifs_function
    from plyfile import PlyData, PlyElement

    def draw(category: int) -> int:
        system = exfractaldb.system_of(class_key(0, category))
        sizes = np.abs(np.linalg.det(system.maps[:, :9].reshape(-1, 3, 3)))
        with tempfile.TemporaryDirectory() as directory:
            (Path(directory) / "models" / "000000").mkdir(parents=True)
            for model in range(MODELS):
                generator = ifs_function()
                for row, share in zip(system.maps * exfractaldb.weights_of(model), sizes / sizes.sum(), strict=True):
                    generator.set_param(*map(float, row), float(share))
                cloud = generator.calculate(10_000)
                cloud = (cloud - cloud.min()) / (cloud.max() - cloud.min()) * 2 - 1
                cloud -= cloud.mean(axis=1, keepdims=True)
                vertices = np.array(list(map(tuple, cloud.T)), dtype=[("x", "f8"), ("y", "f8"), ("z", "f8")])
                path = Path(directory) / "models" / "000000" / f"{model}.ply"
                PlyData([PlyElement.describe(vertices, "vertex")]).write(path)
            return authors_render(root, Path(directory))

    return draw


def authors_render(root: Path, directory: Path) -> int:
    count, save, arguments, before = 0, Image.Image.save, sys.argv, Path.cwd()

    def counted(*_: object, **__: object) -> None:
        nonlocal count
        count += 1

    os.chdir(root)
    sys.argv = ["render.py", f"--load_root={directory / 'models'}", f"--save_root={directory / 'images'}"]
    Image.Image.save = counted  # type: ignore[assignment, method-assign]
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            runpy.run_path(str(root / "image_render" / "render.py"), run_name="__main__")
    finally:
        Image.Image.save, sys.argv = save, arguments  # type: ignore[method-assign]
        os.chdir(before)
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=24)
    parser.add_argument("--only", nargs="+", choices=("rcdb", "visualatom", "exfractaldb", "newton"))
    parser.add_argument("--reference", type=Path, help="checkout of the authors' repository")
    arguments = parser.parse_args()
    source = random.Random(0)

    def one(picture: Callable[[int, random.Random], Picture], times: int) -> Callable[[int], int]:
        return lambda category: len([picture(category, source) for _ in range(times)])

    rows = {
        "rcdb": ("RCDB 512, Pillow and noise", ours(rcdb, 512), one(rcdb_picture, 2), 60),
        "visualatom": ("VisualAtom 512, Pillow and noise", ours(visualatom, 512), one(visualatom_picture, 1), 20),
        "exfractaldb": (
            "ExFractalDB 224, Python and numpy",
            ours(exfractaldb, 224),
            lambda category: len(exfractaldb_pictures(category, source)),
            exfractaldb.MODELS * VIEWS,
        ),
        "newton": ("Newton 224 of degree 5, numpy", ours(newton, 224, degree=5), one(newton_picture, 1), 20),
    }
    print(f"pictures per CPU-second, {arguments.classes} classes    fujimi     beside    ratio")
    for name, (title, mine, plain, pictures) in rows.items():
        if not arguments.only or name in arguments.only:
            compare(title, arguments.classes, mine, plain, pictures=pictures)
            if name == "exfractaldb" and arguments.reference:
                theirs = authors_exfractaldb(arguments.reference)
                compare("  beside the authors' programs", arguments.classes, mine, theirs, pictures=pictures)


if __name__ == "__main__":
    main()
