"""How many pictures of RCDB, VisualAtom, ExFractalDB and Newton fractals a core draws, beside plain readings of them.

RCDB and VisualAtom stand beside their definition, vertex by vertex, with Pillow and the package noise; ExFractalDB
beside its definition in Python and numpy; Newton fractals, of degree 5, beside numpy. Both draw the same classes in
turns, so that a busy machine slows both down; quote the ratio. Nothing is written or encoded.

    python benchmarks/fdsl_forms.py [--classes 24] [--only rcdb newton] [--reference DIR ...]

With checkouts of masora1030/CVPR2022-Pretrained-ViT-PyTorch and masora1030/CVPR2023-FDSL-on-VisualAtom, families also
stand beside the authors' own programs. That of ExFractalDB draws with OpenGL as the machine has it; it takes
matplotlib, pegl, plyfile, PyGLM and PyOpenGL, and, without a display, the variable EGL_PLATFORM=surfaceless.
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
from fujimi_data.families.bulk_random import drawn_from
from fujimi_data.families.keys import class_key
from fujimi_data.families.orbits import draw_orbits
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Picture = NDArray[np.uint8]
#: Of the authors' RCDB_render.sh and make_VisualAtom.sh.
RCDB_OPTIONS = "--vertex_num=200 --perlin_min=0 --line_width=0.1 --radius_min=0 --oval_rate=2 --start_pos=400"
VISUALATOM_OPTIONS = (
    "--vertex_num_min=200 --vertex_num_max=1000 --perlin_min=0 --line_num_min=1 --line_num_max=200 --line_width=0.1 "
    "--radius_min=10 --oval_rate=2 --start_pos=512 --nami_1_min=0 --nami_2_min=0 --nami_1_max=20 --nami_2_max=20"
)
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
    """Views of some models of a class."""
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
        m = maps[next((i for i, limit in enumerate(limits) if word <= limit), -1)]
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
    report(name, classes * pictures / mine_s, drawn / plain_s)


def report(name: str, rate: float, beside: float) -> None:
    print(f"{name:<36} {rate:10.1f} {beside:10.2f} {rate / beside:8.1f}", flush=True)


def beside_authors_orbits(module: types.ModuleType, script: Path, options: str, classes: int) -> None:
    """Run the authors' program, and draw its classes and views in our random numbers."""
    instances = 3
    with tempfile.TemporaryDirectory() as directory:
        count, seconds = run_script(
            script,
            f"{options} --numof_thread=1 --thread_num=0 --numof_classes={classes} --numof_instances={instances} "
            f"--save_root={directory}".split(),
        )
    shapes = []
    source = random.Random(1)
    for _ in range(classes):
        with drawn_from(source) as numbers:
            shape, view = module.PROGRAM.next_class(numbers, 512)
            for _ in range(instances):
                shapes.append((module.orbits_of(shape, view, scale=1.0), getattr(shape, "polygons", 0) or shape.orbits))
                module.PROGRAM.next_picture(numbers, shape, view, 512)
                view = module.PROGRAM.next_view(numbers, 512)
    key = class_key(0, 0)
    started = time.process_time()
    for instance, (orbits, number) in enumerate(shapes):
        inks = (np.arange(number) % 256).astype(np.uint8)
        picture = np.full((512, 512), 255, dtype=np.uint8)
        draw_orbits(picture, orbits, inks, *key, np.uint32(instance), np.uint32(1))
    report("  beside the authors' program", len(shapes) / (time.process_time() - started), count / seconds)


def run_script(script: Path, arguments: list[str]) -> tuple[int, float]:
    """Pictures that a program saves, which are dropped, and its CPU-seconds."""
    count, save, before = 0, Image.Image.save, sys.argv

    def counted(*_: object, **__: object) -> None:
        nonlocal count
        count += 1

    sys.argv = [script.name, *arguments]
    Image.Image.save = counted  # type: ignore[assignment, method-assign]
    started = time.process_time()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            runpy.run_path(str(script), run_name="__main__")
    finally:
        Image.Image.save, sys.argv = save, before  # type: ignore[method-assign]
    return count, time.process_time() - started


def authors_exfractaldb(root: Path) -> Callable[[int], int]:
    """Pictures of a class by the authors' IteratedFunctionSystem.py and render.py, with files between them."""
    root = root.resolve()
    # imported, and not used, by what is run here
    sys.modules.setdefault("open3d", types.ModuleType("open3d"))
    sys.path[:0] = [str(root / "3dfractal_render"), str(root / "image_render")]
    os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
    from IteratedFunctionSystem import ifs_function
    from plyfile import PlyData, PlyElement

    def draw(category: int) -> int:
        system = exfractaldb.system_of(class_key(0, category))
        sizes = np.abs(np.linalg.det(system.maps[:, :9].reshape(-1, 3, 3)))
        before = Path.cwd()
        with tempfile.TemporaryDirectory() as directory:
            models = Path(directory) / "models"
            (models / "000000").mkdir(parents=True)
            for model in range(MODELS):
                generator = ifs_function()
                for row, share in zip(system.maps * exfractaldb.weights_of(model), sizes / sizes.sum(), strict=True):
                    generator.set_param(*map(float, row), float(share))
                cloud = generator.calculate(10_000)
                cloud = (cloud - cloud.min()) / (cloud.max() - cloud.min()) * 2 - 1
                cloud -= cloud.mean(axis=1, keepdims=True)
                vertices = np.array(list(map(tuple, cloud.T)), dtype=[("x", "f8"), ("y", "f8"), ("z", "f8")])
                PlyData([PlyElement.describe(vertices, "vertex")]).write(models / "000000" / f"{model}.ply")
            os.chdir(root)
            try:
                script = root / "image_render" / "render.py"
                return run_script(script, [f"--load_root={models}", f"--save_root={directory}/images"])[0]
            finally:
                os.chdir(before)

    return draw


def authors(roots: list[Path], path: str) -> Path | None:
    return next((root / path for root in roots if (root / path).exists()), None)


def one(picture: Callable[[int, random.Random], Picture], *, times: int) -> Callable[[int], int]:
    source = random.Random(0)
    return lambda category: len([picture(category, source) for _ in range(times)])


def time_rcdb(classes: int, roots: list[Path]) -> None:
    compare("RCDB 512, Pillow and noise", classes, ours(rcdb, 512), one(rcdb_picture, times=2), pictures=60)
    if script := authors(roots, "rcdb_render/make_rcdb.py"):
        beside_authors_orbits(rcdb, script, RCDB_OPTIONS, 2 * classes)


def time_visualatom(classes: int, roots: list[Path]) -> None:
    plain = one(visualatom_picture, times=1)
    compare("VisualAtom 512, Pillow and noise", classes, ours(visualatom, 512), plain, pictures=20)
    if script := authors(roots, "visual_atomic_renderer/render_VisualAtom.py"):
        beside_authors_orbits(visualatom, script, VISUALATOM_OPTIONS, classes)


def time_exfractaldb(classes: int, roots: list[Path]) -> None:
    mine, pictures, source = ours(exfractaldb, 224), exfractaldb.MODELS * VIEWS, random.Random(0)

    def plain(category: int) -> int:
        return len(exfractaldb_pictures(category, source))

    compare("ExFractalDB 224, Python and numpy", classes, mine, plain, pictures=pictures)
    if root := authors(roots, "exfractaldb_render"):
        compare("  beside the authors' programs", classes, mine, authors_exfractaldb(root), pictures=pictures)


def time_newton(classes: int, roots: list[Path]) -> None:
    mine = ours(newton, 224, degree=5)
    compare("Newton 224, numpy", classes, mine, one(newton_picture, times=1), pictures=20)


FAMILIES = {"rcdb": time_rcdb, "visualatom": time_visualatom, "exfractaldb": time_exfractaldb, "newton": time_newton}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=int, default=24)
    parser.add_argument("--only", nargs="+", choices=FAMILIES, default=list(FAMILIES))
    parser.add_argument("--reference", type=Path, nargs="+", default=[], help="checkouts of the authors' repositories")
    arguments = parser.parse_args()
    print(f"{f'pictures per CPU-second, {arguments.classes} classes':<36}     fujimi     beside    ratio")
    for name in arguments.only:
        FAMILIES[name](arguments.classes, arguments.reference)


if __name__ == "__main__":
    main()
