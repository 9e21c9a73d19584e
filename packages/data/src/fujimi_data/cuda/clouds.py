"""Clouds of points on a GPU: ExFractalDB and MV-FractalDB, a block of threads for each picture."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fujimi_data.cuda.device import cuda, for_device, kernel, launch
from fujimi_data.families.exfractaldb import MODELS, POINTS, Model, shown, view_of
from fujimi_data.families.ifs3d import camera_of, place_of
from fujimi_data.families.keys import class_key

_THREADS = 256
_place_seen = for_device(place_of)


def clouds(
    *,
    seed: int,
    pictures: Sequence[tuple[int, int]],
    pixels: int,
    views: str = "random",
    models: int = MODELS,
    model_views: int = 12,
    redraw: bool = True,
) -> NDArray[np.uint8]:
    """Draw grey pictures of ExFractalDB, given their classes and instances; clouds are the processor's."""
    count = len(pictures)
    places: dict[Model, int] = {}
    numbers = np.empty(count, dtype=np.int32)
    # sines are the processor's: those of a GPU are rounded otherwise
    cameras = np.empty((count, 9), dtype=np.float32)
    for i, (category, instance) in enumerate(pictures):
        key = class_key(seed, category)
        model = shown(key, instance, models=models, model_views=model_views, redraw=redraw)
        numbers[i] = places.setdefault(model, len(places))
        cameras[i] = camera_of(*view_of(key, instance, orbit=views == "orbit", model_views=model_views), pixels)
    points = np.stack([model.points for model in places])
    drawn = cuda.device_array((count, pixels * pixels), dtype=np.uint8)
    launch(_draw_all, count, _THREADS, *map(cuda.to_device, (points, numbers, cameras)), pixels, drawn)
    greys: NDArray[np.uint8] = drawn.copy_to_host()
    return greys.reshape(count, pixels, pixels)


@kernel
def _draw_all(points: Any, numbers: Any, cameras: Any, pixels: int, pictures: Any) -> None:
    picture, c = pictures[cuda.blockIdx.x], cameras[cuda.blockIdx.x]
    cloud = points[numbers[cuda.blockIdx.x]]
    thread, threads = cuda.threadIdx.x, cuda.blockDim.x
    for place in range(thread, pixels * pixels, threads):
        picture[place] = 0
    cuda.syncthreads()
    camera = c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7], c[8]
    for i in range(thread, POINTS, threads):
        place = _place_seen(cloud[0, i], cloud[1, i], cloud[2, i], camera, np.int32(pixels))
        if place < pixels * pixels:
            picture[place] = 255
