import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fujimi_core.atomic import only_writer
from fujimi_core.errors import FujimiError, PluginError, RunError
from fujimi_core.offers import Generator
from fujimi_data.generation import generate, recipe_of
from fujimi_data.part import Part
from fujimi_data.shards.codecs import Codec
from fujimi_data.shards.dataset import ShardDataset
from fujimi_data.shards.manifest import FILE, load
from numpy.typing import NDArray

from .conftest import SIZES, make

KILLED = """
import os, signal, sys
from pathlib import Path
import numpy as np
from fujimi_core.offers import Generator
from fujimi_data.generation import generate, recipe_of

def render(*, seed, category, instance, pixels):
    if (category, instance) == (0, 2):
        os.kill(os.getpid(), signal.SIGKILL)
    return np.random.default_rng([seed, category, instance]).integers(0, 256, (pixels, pixels), dtype=np.uint8)

generator = Generator(name="speckles", summary="", render=render)
recipe = recipe_of(generator, classes=4, instances=3, pixels=16, seed=7, samples_per_shard=5)
generate(generator, recipe, Path(sys.argv[1]), workers=1)
"""


def files(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_bytes_do_not_depend_on_the_workers(directory: Path, tmp_path: Path, generator: Generator) -> None:
    make(generator, tmp_path / "b", workers=1)
    make(generator, tmp_path / "c", workers=7)
    assert files(tmp_path / "b") == files(tmp_path / "c") == files(directory)
    assert sorted(files(directory)) == [
        "dataset.index",
        "dataset.json",
        "shard-00000.tar",
        "shard-00001.tar",
        "shard-00002.tar",
    ]


def test_a_killed_run_goes_on_where_it_was(directory: Path, tmp_path: Path, generator: Generator) -> None:
    out = tmp_path / "killed"
    done = subprocess.run([sys.executable, "-c", KILLED, str(out)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert "shard-00001.tar" not in files(out)
    kept = (out / "shard-00000.tar").stat().st_mtime_ns
    made = make(generator, out)
    assert made.drawn == 7
    assert (out / "shard-00000.tar").stat().st_mtime_ns == kept
    assert files(out) == files(directory)


def test_a_damaged_shard_is_made_again(directory: Path, generator: Generator) -> None:
    whole = files(directory)
    damaged = bytearray(whole["shard-00001.tar"])
    damaged[600] ^= 1
    (directory / "shard-00001.tar").write_bytes(damaged)
    (directory / "shard-00002.tar").unlink()
    assert make(generator, directory).drawn == 7
    assert files(directory) == whole


def test_a_finished_dataset_is_left_as_it_is(directory: Path, generator: Generator) -> None:
    assert make(generator, directory).drawn == 0


def test_shards_in_each_others_place_are_made_again(directory: Path, generator: Generator) -> None:
    whole = files(directory)
    (directory / "shard-00000.tar").write_bytes(whole["shard-00001.tar"])
    assert make(generator, directory).drawn == 5
    assert files(directory) == whole


def test_another_dataset_in_the_directory_is_refused(directory: Path, generator: Generator) -> None:
    with pytest.raises(FujimiError, match=r"another dataset, with seed 7 \(not 9\), classes 4 \(not 5\)"):
        make(generator, directory, classes=5, seed=9)


def test_other_files_in_the_directory_are_refused(tmp_path: Path, generator: Generator) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(FujimiError, match=r"other files, for example thesis\.tex"):
        make(generator, tmp_path)
    assert sorted(files(tmp_path)) == ["thesis.tex"]


def test_a_file_in_place_of_the_directory_is_refused(tmp_path: Path, generator: Generator) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FujimiError, match=r"cannot make the directory .*file: it is a file"):
        make(generator, tmp_path / "file")
    with pytest.raises(FujimiError, match=r"cannot make the directory .*inside: Not a directory"):
        make(generator, tmp_path / "file" / "inside")


def test_a_directory_that_cannot_be_written_is_refused(
    tmp_path: Path, generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(FujimiError, match=r"cannot write into .*: Permission denied"):
        make(generator, tmp_path)


def test_a_full_disk_leaves_the_shards_that_are_whole(directory: Path, generator: Generator) -> None:
    whole = files(directory)
    (directory / "shard-00001.tar").unlink()
    (directory / ".shard-00001.tar.0-of-1.partial").symlink_to("/dev/full")
    with pytest.raises(RunError, match=r"cannot write .*shard-00001\.tar: No space left on device"):
        make(generator, directory)
    assert make(generator, directory).drawn == 5
    assert files(directory) == whole


@pytest.mark.parametrize("name", ["classes", "instances", "pixels", "samples_per_shard", "workers"])
def test_absurd_sizes_are_refused_before_anything_is_made(tmp_path: Path, generator: Generator, name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0"):
        make(generator, tmp_path / "out", **{name: 0})
    assert not (tmp_path / "out").exists()


def failing(*, seed: int, category: int, instance: int, pixels: int) -> NDArray[np.uint8]:
    raise ZeroDivisionError("no radius")


def too_small(*, seed: int, category: int, instance: int, pixels: int) -> NDArray[np.uint8]:
    return np.zeros((pixels, pixels - 1), dtype=np.uint8)


def test_a_generator_that_fails_is_named(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="'broken', class 0, instance 0: ZeroDivisionError: no radius"):
        make(Generator(name="broken", summary="", render=failing), tmp_path)


def test_a_generator_that_gives_something_else_is_named(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match=r"'broken', class 0, instance 0: gave uint8 \(16, 15\)"):
        make(Generator(name="broken", summary="", render=too_small), tmp_path)
    assert load(tmp_path / FILE).shards == ()


def test_few_samples_are_drawn_ahead_of_the_disk(tmp_path: Path, generator: Generator) -> None:
    drawn = []
    written = []

    def render(*, seed: int, category: int, instance: int, pixels: int) -> NDArray[np.uint8]:
        drawn.append(category)
        return generator.render(seed=seed, category=category, instance=instance, pixels=pixels)

    def progress(samples: int) -> None:
        written.append(samples)
        time.sleep(0.01)
        # two workers: four chunks of eight samples at most wait
        assert len(drawn) <= sum(written) + 4 * 8

    slow = Generator(name="slow", summary="", render=render)
    recipe = recipe_of(slow, classes=200, instances=1, pixels=16, samples_per_shard=200)
    generate(slow, recipe, tmp_path, workers=2, progress=progress)
    assert sum(written) == 200


@pytest.mark.parametrize("of", [2, 3, 5])
def test_parts_make_the_bytes_that_one_process_makes(
    directory: Path, tmp_path: Path, generator: Generator, of: int
) -> None:
    recipe = recipe_of(generator, **SIZES)
    out = tmp_path / "parts"
    made = [generate(generator, recipe, out, part=Part(number=number, of=of)) for number in reversed(range(of))]
    assert [each.missing for each in made][-1] == 0
    assert sum(each.drawn for each in made) == 12
    assert files(out) == files(directory)


def test_a_part_alone_says_what_is_missing(tmp_path: Path, generator: Generator) -> None:
    made = generate(generator, recipe_of(generator, **SIZES), tmp_path / "out", part=Part(number=1, of=2))
    assert (made.drawn, made.missing, made.manifest.shards) == (5, 2, ())
    assert load(tmp_path / "out" / FILE).shards == ()


RANK = """
import os, sys, time
from pathlib import Path
import numpy as np
from fujimi_core.offers import Generator
from fujimi_data.generation import generate, recipe_of
from fujimi_data.part import part_of

def render(*, seed, category, instance, pixels):
    time.sleep(0.01)
    return np.random.default_rng([seed, category, instance]).integers(0, 256, (pixels, pixels), dtype=np.uint8)

generator = Generator(name="speckles", summary="", render=render)
recipe = recipe_of(generator, classes=4, instances=3, pixels=16, seed=7, samples_per_shard=5)
generate(generator, recipe, Path(sys.argv[1]), part=part_of(os.environ), workers=1)
"""


def test_processes_at_the_same_time_make_the_bytes_that_one_makes(directory: Path, tmp_path: Path) -> None:
    out = tmp_path / "parts"
    environ = {**os.environ, "PMI_SIZE": "3"}
    ranks = [
        subprocess.Popen([sys.executable, "-c", RANK, str(out)], env={**environ, "PMI_RANK": str(rank)})
        for rank in range(3)
    ]
    assert [rank.wait() for rank in ranks] == [0, 0, 0]
    assert files(out) == files(directory)


def test_the_same_part_is_made_once_at_a_time(tmp_path: Path, generator: Generator) -> None:
    recipe, part = recipe_of(generator, **SIZES), Part(number=0, of=2)
    tmp_path.joinpath("out").mkdir()
    with only_writer(tmp_path / "out", part="0-of-2"):
        with pytest.raises(FujimiError, match="another process is writing"):
            generate(generator, recipe, tmp_path / "out", part=part)
        with pytest.raises(FujimiError, match="another process is writing"):
            generate(generator, recipe, tmp_path / "out")
        generate(generator, recipe, tmp_path / "out", part=Part(number=1, of=2))


@pytest.mark.parametrize("codec", [Codec.PNG_FAST, Codec.LZ4, Codec.ZSTD, Codec.NPY])
def test_pictures_are_written_in_the_codec_that_is_asked_for(
    tmp_path: Path, generator: Generator, codec: Codec
) -> None:
    recipe = recipe_of(generator, **SIZES, codec=codec)
    generate(generator, recipe, tmp_path)
    sample = ShardDataset(tmp_path)[6]
    assert list(sample.files) == [codec.extension, "cls"]
    assert np.array_equal(sample.picture, generator.render(seed=7, category=2, instance=1, pixels=16))


def test_shards_have_about_250_megabytes_if_nobody_says_otherwise(generator: Generator) -> None:
    recipe = recipe_of(generator, classes=1000, instances=1000, pixels=256)
    # noise: 65,536 bytes a picture, and 2 to 3 kB around it
    assert recipe.samples_per_shard == 2000
    assert recipe_of(generator, classes=3, instances=2, pixels=256).samples_per_shard == 6


def colours(*, seed: int, category: int, instance: int, pixels: int, red: int) -> NDArray[np.uint8]:
    picture = np.zeros((pixels, pixels, 3), dtype=np.uint8)
    picture[:, :, 0] = red
    return picture


def test_options_reach_the_generator_and_the_recipe(tmp_path: Path) -> None:
    generator = Generator(name="colours", summary="", render=colours, options={"red": 1})
    generate(generator, recipe_of(generator, **SIZES, options={"red": 200}), tmp_path)
    dataset = ShardDataset(tmp_path)
    assert dataset.manifest.recipe is not None
    assert dataset.manifest.recipe.options == {"red": 200}
    assert dataset[0].picture.shape == (16, 16, 3)
    assert dataset[0].picture.reshape(-1, 3).max(axis=0).tolist() == [200, 0, 0]
    with pytest.raises(FujimiError, match=r"another dataset, with options \{'red': 200\} \(not \{'red': 1\}\)"):
        generate(generator, recipe_of(generator, **SIZES), tmp_path)


def test_parts_of_different_numbers_may_write_a_shard_at_the_same_time(
    directory: Path, tmp_path: Path, generator: Generator
) -> None:
    recipe = recipe_of(generator, **SIZES)
    out, calls = tmp_path / "parts", []

    def render(**what: int) -> NDArray[np.uint8]:
        calls.append(what)
        if len(calls) == 3:
            for number in range(3):
                generate(generator, recipe, out, part=Part(number=number, of=3))
        return generator.render(**what)

    interrupted = Generator(name="speckles", summary="", render=render)
    for number in range(2):
        generate(interrupted, recipe, out, part=Part(number=number, of=2), workers=1)
    assert len(calls) == 5
    assert files(out) == files(directory)


def test_what_killed_parts_left_is_removed_at_last(tmp_path: Path, generator: Generator) -> None:
    recipe = recipe_of(generator, **SIZES)
    generate(generator, recipe, tmp_path, part=Part(number=0, of=2))
    left = tmp_path / ".shard-00002.tar.2-of-3.partial"
    left.write_bytes(b"half")
    generate(generator, recipe, tmp_path, part=Part(number=0, of=3))
    assert left.exists()
    generate(generator, recipe, tmp_path, part=Part(number=1, of=2))
    assert not left.exists()
