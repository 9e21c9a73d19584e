"""Pictures that a GPU draws beside those of processors, and how many a second; run it where a GPU is.

pip install numba-cuda && python integration_tests/cuda_check.py [--out cuda.json]
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fujimi_data.cuda import basins, clouds, contours, densities, fractals
from fujimi_data.cuda.device import cuda
from fujimi_data.families import contractive_ifs, exfractaldb, fractaldb, newton, ofdb, one_p_frac, rcdb, visualatom

#: Kernels, the family, side of a picture, and how many to time at once.
CASES: dict[str, tuple[Callable, Callable, int, int]] = {
    "VisualAtom 512": (contours.visualatoms, visualatom.render, 512, 2048),
    "VisualAtom 224": (contours.visualatoms, visualatom.render, 224, 2048),
    "RCDB 512": (contours.radial_contours, rcdb.render, 512, 4096),
    "Newton 224": (basins.newton_fractals, newton.render, 224, 4096),
    "ExFractalDB 224": (clouds.clouds, exfractaldb.render, 224, 4096),
    "FractalDB 362, 200,000 points": (fractals.fractals, fractaldb.render, 362, 1024),
    "OFDB 362, 200,000 points": (fractals.ofdb_fractals, ofdb.render, 362, 1024),
    "contractive 256, 100,000 points": (densities.densities, contractive_ifs.render, 256, 2048),
    "1p-frac 512, 100,000 points": (fractals.one_p_fractals, one_p_frac.render, 512, 1024),
}


def check(draw: Callable, render: Callable, pixels: int, count: int) -> dict[str, float]:
    """Compare some pictures, time many."""
    some = [(number * 7 % 40, number * 13 % 1000) for number in range(64)]
    drawn = draw(seed=1, pictures=some, pixels=pixels)
    expected = [render(seed=1, category=category, instance=instance, pixels=pixels) for category, instance in some]
    different = [int((one != other).sum()) for one, other in zip(drawn, expected, strict=True)]
    many = [(number % 40, number // 40) for number in range(count)]
    draw(seed=2, pictures=many, pixels=pixels)  # finds the classes
    started = time.perf_counter()
    draw(seed=2, pictures=many, pixels=pixels)
    seconds = time.perf_counter() - started
    core_s = time.process_time()
    for category, instance in many[:64]:
        render(seed=2, category=category, instance=instance, pixels=pixels)
    core_s = time.process_time() - core_s
    return {
        "equal": sum(count == 0 for count in different),
        "of": len(different),
        "pixels_different": sum(different),
        "pixels": int(drawn.size),
        "images_per_s": len(many) / seconds,
        "images_per_s_of_a_core": 64 / core_s,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    name = cuda.get_current_device().name
    found: dict[str, object] = {"device": name.decode() if isinstance(name, bytes) else name}
    for case, (draw, render, pixels, count) in CASES.items():
        try:
            found[case] = check(draw, render, pixels, count)
        except Exception as wrong:  # the others are to be seen, too
            found[case] = f"{type(wrong).__name__}: {wrong}"[:2000]
        print(case, found[case], flush=True)
        if out is not None:
            out.write_text(json.dumps(found, indent=1, default=np.ndarray.tolist))


if __name__ == "__main__":
    main()
