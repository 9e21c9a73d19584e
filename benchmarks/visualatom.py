"""How many VisualAtom pictures a core draws, beside a plain reading of the definition with Pillow and noise.

Both draw the same classes in turns, so that a busy machine slows both down; quote the ratio.

    python benchmarks/visualatom.py [--pictures 24] [--pixels 512]
"""

import argparse
import math
import random
import time

import noise
import numpy as np
from fujimi_data.families.keys import class_key
from fujimi_data.families.visualatom import Atom, atom_of, render
from numpy.typing import NDArray
from PIL import Image, ImageDraw


def slow_picture(atom: Atom, pixels: int, source: random.Random) -> NDArray[np.uint8]:
    """A picture of a class, vertex by vertex."""
    image = Image.new("RGB", (pixels, pixels))
    drawing = ImageDraw.Draw(image)
    centre_x, centre_y = ((512 + source.randint(-512, 512)) / 2 for _ in range(2))
    angles = [math.pi * 2 / atom.vertices * v for v in range(atom.vertices)]
    x = [math.cos(t) * atom.radius * atom.oval_x + centre_x for t in angles]
    y = [math.sin(t) * atom.radius * atom.oval_y + centre_y for t in angles]
    scale = pixels / 512
    for _ in range(atom.orbits):
        grey = source.randint(0, 255)
        for place, direction in ((x, math.cos), (y, math.sin)):
            for v, t in enumerate(angles):
                phi = (
                    noise.pnoise1(source.uniform(0, 10_000)) * atom.noise
                    - atom.noise
                    - 0.5 * math.sin(t * atom.waves_1)
                    - 0.5 * math.sin(t * atom.waves_2)
                )
                place[v] -= direction(t) * (phi - atom.gap)
        for v in range(atom.vertices):
            end = (v + 1) % atom.vertices
            drawing.line((x[v] * scale, y[v] * scale, x[end] * scale, y[end] * scale), fill=(grey, grey, grey), width=1)
    return np.asarray(image)[:, :, 0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=24, help="that the slow way draws; ours draws 20 for each")
    parser.add_argument("--pixels", type=int, default=512)
    arguments = parser.parse_args()
    render(seed=0, category=0, instance=0, pixels=arguments.pixels)  # compiles
    source = random.Random(0)
    ours_s = slow_s = 0.0
    repeats = 20
    for category in range(arguments.pictures):
        atom = atom_of(class_key(0, category))
        started = time.process_time()
        for instance in range(repeats):
            render(seed=0, category=category, instance=instance, pixels=arguments.pixels)
        ours_s += time.process_time() - started
        started = time.process_time()
        slow_picture(atom, arguments.pixels, source)
        slow_s += time.process_time() - started
    ours, slow = repeats * arguments.pictures / ours_s, arguments.pictures / slow_s
    print(f"VisualAtom, {arguments.pixels} x {arguments.pixels}, {arguments.pictures} classes, per CPU-second:")
    print(f"  fujimi        {ours:8.1f} images")
    print(f"  Pillow, noise {slow:8.1f} images")
    print(f"  ratio         {ours / slow:8.1f}")


if __name__ == "__main__":
    main()
