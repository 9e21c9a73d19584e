"""Kernels in numba's simulator of a GPU draw what processors draw. On a GPU: integration_tests/cuda_check.py."""

import os
import subprocess
import sys

import pytest

COMPARE = """
import warnings
warnings.simplefilter("ignore")  # scalars of numpy warn of overflows that are meant
import numpy as np
from fujimi_data.families import {module}
from fujimi_data.cuda import {kernels}
{kernels}._THREADS = 4
pictures = {pictures}
drawn = {kernels}.{function}(seed=1, pictures=pictures, pixels={pixels}, **{options})
expected = np.stack([
    {module}.render(seed=1, category=category, instance=instance, pixels={pixels}, **{options})
    for category, instance in pictures
])
assert drawn.dtype == np.uint8 and drawn.shape == expected.shape
assert len(np.unique(expected)) > 1
print((drawn != expected).sum())
"""
#: Classes that the simulator can draw in seconds: few orbits, few points.
CASES = [
    ("visualatom", "contours", "visualatoms", [(138, 0)], 64, {}),
    ("rcdb", "contours", "radial_contours", [(0, 0), (28, 3)], 48, {}),
    ("newton", "basins", "newton_fractals", [(0, 0), (7, 5)], 20, {"iterations": 20}),
    ("newton", "basins", "newton_fractals", [(3, 1)], 17, {"degree": 4}),
    ("exfractaldb", "clouds", "clouds", [(0, 0), (1, 25), (1, 13)], 32, {}),
    ("exfractaldb", "clouds", "clouds", [(2, 5)], 17, {"views": "orbit", "models": 1}),
    ("fractaldb", "fractals", "fractals", [(1, 401), (2, 42)], 24, {"points": 2500}),
    ("ofdb", "fractals", "ofdb_fractals", [(2, 3)], 24, {"points": 900}),
    ("contractive_ifs", "densities", "densities", [(3, 4)], 24, {"points": 900}),
    ("contractive_ifs", "densities", "densities", [(2, 1)], 17, {"points": 900, "look": "density", "patch": False}),
    ("one_p_frac", "fractals", "one_p_fractals", [(3, 2)], 24, {"points": 900, "maps": 3, "fill_rate": 0.01}),
]


@pytest.mark.parametrize(("module", "kernels", "function", "pictures", "pixels", "options"), CASES)
def test_kernels_draw_what_processors_draw(
    module: str, kernels: str, function: str, pictures: list[tuple[int, int]], pixels: int, options: dict[str, int]
) -> None:
    program = COMPARE.format(
        module=module, kernels=kernels, function=function, pictures=pictures, pixels=pixels, options=options
    )
    environ = {**os.environ, "NUMBA_ENABLE_CUDASIM": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == "0"
