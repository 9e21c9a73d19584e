import os
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from fujimi_core.offers import Generator
from fujimi_data.generated import GeneratedDataset
from fujimi_data.generation import recipe_of
from fujimi_data.loader import BatchLoader
from fujimi_data.node_cache import NodeCache
from numpy.typing import NDArray

from .conftest import SIZES, flip

ALL = np.arange(12)


@pytest.fixture
def drawn(generator: Generator) -> GeneratedDataset:
    return GeneratedDataset(generator, recipe_of(generator, **SIZES))


def pixels(source: GeneratedDataset | NodeCache, numbers: NDArray[np.int64] = ALL) -> list[bytes]:
    return [picture.pixels.tobytes() for picture in source.pictures(numbers) if isinstance(picture.pixels, np.ndarray)]


def test_pictures_are_drawn_once(drawn: GeneratedDataset, tmp_path: Path) -> None:
    cache = NodeCache(drawn, tmp_path)
    with BatchLoader(cache, seed=0, global_batch=6, threads=2, ahead=0) as loader:
        batches = [next(loader) for _ in range(6)]
    with BatchLoader(drawn, seed=0, global_batch=6) as loader:
        for batch in batches:
            expected = next(loader)
            assert np.array_equal(batch.pictures, expected.pictures)
            assert np.array_equal(batch.labels, expected.labels)
    assert cache.drawn <= 13  # the first is looked at for its shape
    assert cache.found >= 24


def test_the_next_run_reads_what_the_last_one_kept(drawn: GeneratedDataset, tmp_path: Path) -> None:
    NodeCache(drawn, tmp_path).close()
    first = NodeCache(drawn, tmp_path)
    assert pixels(first, ALL[:8]) == pixels(drawn, ALL[:8])
    first.close()
    second = NodeCache(drawn, tmp_path)
    assert pixels(second) == pixels(drawn)
    assert (second.found, second.drawn) == (8, 4)


def test_processes_of_a_node_share_what_they_drew(drawn: GeneratedDataset, tmp_path: Path) -> None:
    one, other = NodeCache(drawn, tmp_path), NodeCache(drawn, tmp_path)
    pixels(one, ALL[:6])
    assert pixels(other) == pixels(drawn)
    assert (other.found, other.drawn) == (6, 6)
    assert pixels(one) == pixels(drawn)
    assert one.found == 12 - 6 + 6
    assert sorted(path.name for path in one.directory.iterdir()) == ["cache-00001.tar", "cache-00002.tar", "slots"]


def test_threads_may_share_a_cache(drawn: GeneratedDataset, tmp_path: Path) -> None:
    cache = NodeCache(drawn, tmp_path)
    expected = pixels(drawn)
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda number: pixels(cache, np.array([number % 12]))[0], range(240)))
    assert read == expected * 20


def test_what_is_kept_is_an_archive(drawn: GeneratedDataset, tmp_path: Path) -> None:
    cache = NodeCache(drawn, tmp_path)
    pixels(cache, ALL[:2])
    cache.close()
    with tarfile.open(cache.directory / "cache-00001.tar") as archive:
        names = archive.getnames()
    assert names == [f"{n:05d}_00000.{extension}" for n in range(2) for extension in ("npy.lz4", "cls")]


@pytest.mark.parametrize("file", ["slots", "cache-00001.tar"])
def test_what_is_damaged_is_drawn_again(drawn: GeneratedDataset, tmp_path: Path, file: str) -> None:
    cache = NodeCache(drawn, tmp_path)
    pixels(cache)
    cache.close()
    path = cache.directory / file
    for place in range(0, path.stat().st_size, 61):
        flip(path, place, bit=place % 8)
    assert pixels(NodeCache(drawn, tmp_path)) == pixels(drawn)


def test_a_cut_archive_loses_only_what_was_cut(drawn: GeneratedDataset, tmp_path: Path) -> None:
    cache = NodeCache(drawn, tmp_path)
    pixels(cache)
    cache.close()
    path = cache.directory / "cache-00001.tar"
    os.truncate(path, path.stat().st_size // 2)
    again = NodeCache(drawn, tmp_path)
    assert pixels(again) == pixels(drawn)
    assert 0 < again.found < 12


FULL = """
import resource, signal, sys
import numpy as np
from fujimi_core.offers import Generator
from fujimi_data.generated import GeneratedDataset
from fujimi_data.generation import recipe_of
from fujimi_data.node_cache import NodeCache

def render(*, seed, category, instance, pixels):
    return np.random.default_rng([seed, category, instance]).integers(0, 256, (pixels, pixels), dtype=np.uint8)

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
generator = Generator(name="speckles", summary="", render=render)
drawn = GeneratedDataset(generator, recipe_of(generator, classes=4, instances=3, pixels=16, samples_per_shard=5))
resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))
cache = NodeCache(drawn, sys.argv[1])
for _ in range(2):
    read = [picture.pixels for picture in cache.pictures(np.arange(12))]
    assert all((a == b.pixels).all() for a, b in zip(read, drawn.pictures(np.arange(12)), strict=True))
print(cache.found, cache.drawn)
"""


def test_full_storage_ends_the_keeping_and_not_the_run(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True)
    found, redrawn = map(int, done.stdout.split())
    assert found + redrawn == 24
    assert 0 < found < 12
    assert "no longer kept" in done.stderr
    assert done.stderr.count("no longer kept") == 1


def test_forked_processes_keep_what_they_draw_apart(drawn: GeneratedDataset, tmp_path: Path) -> None:
    cache = NodeCache(drawn, tmp_path)
    pixels(cache, ALL[:2])
    children = []
    for first in (2, 5, 8):
        child = os.fork()
        if child == 0:
            pixels(cache, ALL[first : first + 3])
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
    again = NodeCache(drawn, tmp_path)
    assert pixels(again, ALL[:11]) == pixels(drawn, ALL[:11])
    assert (again.found, again.drawn) == (11, 0)
