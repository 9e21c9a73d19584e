from pathlib import Path

import numpy as np
import pytest
from fujimi_core.offers import Generator
from fujimi_data.generation import Generation, generate, recipe_of
from hypothesis import settings
from numpy.typing import NDArray

settings.register_profile("untimed", deadline=None)  # timings never decide a test
settings.load_profile("untimed")
SIZES = {"classes": 4, "instances": 3, "pixels": 16, "seed": 7, "samples_per_shard": 5}


def speckles(*, seed: int, category: int, instance: int, pixels: int) -> NDArray[np.uint8]:
    """A family in pure Python whose pictures do not compress: shards of all seeds have one length."""
    random = np.random.default_rng([seed, category, instance])
    return random.integers(0, 256, (pixels, pixels), dtype=np.uint8)


def make(generator: Generator, out: Path, *, workers: int = 2, **changes: int) -> Generation:
    """A dataset of 12 samples in 3 shards, or as the changes say."""
    return generate(generator, recipe_of(generator, **{**SIZES, **changes}), out, workers=workers)


def flip(path: Path, place: int, bit: int = 0) -> None:
    """Change a bit of a file."""
    content = bytearray(path.read_bytes())
    content[place] ^= 1 << bit
    path.write_bytes(content)


@pytest.fixture
def generator() -> Generator:
    return Generator(name="speckles", summary="for tests", render=speckles)


@pytest.fixture
def directory(tmp_path: Path, generator: Generator) -> Path:
    """A dataset of 12 samples in 3 shards."""
    out = tmp_path / "dataset"
    make(generator, out)
    return out
