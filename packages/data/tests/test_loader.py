import io
import tarfile
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fujimi_core.data_spec import SampleOrder
from fujimi_core.offers import Generator
from fujimi_data.augment.mix import Mixing, mix_pictures, soft_labels
from fujimi_data.augment.pipeline import Augmentation
from fujimi_data.augment.recipes import recipe
from fujimi_data.errors import ShardError
from fujimi_data.loader import Batch, BatchLoader
from fujimi_data.order import batch_indices
from fujimi_data.packing import pack
from fujimi_data.shards.dataset import ShardDataset
from numpy.typing import NDArray
from PIL import Image

from .conftest import flip, make


def reading_threads() -> int:
    return sum(thread.name.startswith("fujimi-data") for thread in threading.enumerate())


@pytest.mark.parametrize("ahead", [0, 1, 3])
@pytest.mark.parametrize("threads", [1, 3])
def test_batches_are_the_samples_of_the_order(directory: Path, ahead: int, threads: int) -> None:
    dataset = ShardDataset(directory)
    sharing = {"seed": 5, "global_batch": 10, "rank": 1, "world_size": 2}
    with BatchLoader(dataset, **sharing, step=4, ahead=ahead, threads=threads) as loader:
        for step in range(4, 12):
            assert loader.step == step
            pictures, labels = next(loader)
            indices = batch_indices(samples=12, step=step, **sharing)
            assert np.array_equal(labels, [dataset[int(i)].label for i in indices])
            assert np.array_equal(pictures, [dataset[int(i)].picture for i in indices])
            assert (pictures.dtype, labels.dtype) == (np.uint8, np.int64)


def test_a_batch_may_be_larger_than_the_dataset(directory: Path) -> None:
    with BatchLoader(ShardDataset(directory), seed=0, global_batch=30) as loader:
        assert sorted(next(loader).labels[:24].tolist()) == sorted([0, 1, 2, 3] * 6)


def test_an_error_in_a_thread_reaches_the_caller(directory: Path) -> None:
    path = directory / "shard-00001.tar"
    content = bytearray(path.read_bytes())
    content[600] ^= 1
    path.write_bytes(content)
    with (
        BatchLoader(ShardDataset(directory), seed=0, global_batch=12) as loader,
        pytest.raises(ShardError, match=r"shard-00001\.tar: sample 00001_00001 at byte 0"),
    ):
        next(loader)
    assert reading_threads() == 0
    assert list(loader) == []


def test_a_loader_goes_on_with_any_step(directory: Path) -> None:
    with BatchLoader(ShardDataset(directory), seed=5, global_batch=10) as loader:
        batches = [next(loader).labels.tolist() for _ in range(6)]
        for step in (2, 5, 0):
            loader.seek(step)
            assert (loader.step, next(loader).labels.tolist()) == (step, batches[step])
        with pytest.raises(ValueError, match="step -1"):
            loader.seek(-1)
        assert next(loader).labels.tolist() == batches[1]


def test_closing_ends_threads_and_iteration(directory: Path) -> None:
    loader = BatchLoader(ShardDataset(directory), seed=0, global_batch=4, threads=2)
    next(loader)
    assert reading_threads() == 2
    loader.close()
    loader.close()
    assert reading_threads() == 0
    assert list(loader) == []


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"world_size": 5}, "leaves nothing to some of 5 ranks"),
        ({"rank": 1}, "rank 1 of 1"),
        ({"threads": 0}, "threads 0"),
        ({"ahead": -1}, "ahead -1"),
        ({"step": -1}, "step -1"),
    ],
)
def test_numbers_out_of_range_are_refused_at_once(directory: Path, changes: dict[str, int], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        BatchLoader(ShardDataset(directory), **{"seed": 0, "global_batch": 4, **changes})
    assert reading_threads() == 0


def colour_squares(*, seed: int, category: int, instance: int, pixels: int) -> NDArray[np.uint8]:
    return np.random.default_rng([seed, category, instance]).integers(0, 256, (pixels, pixels, 3), dtype=np.uint8)


def test_colours_come_in_planes(tmp_path: Path) -> None:
    make(Generator(name="squares", summary="", render=colour_squares), tmp_path)
    dataset = ShardDataset(tmp_path)
    with BatchLoader(dataset, seed=0, global_batch=12, order=SampleOrder.SEQUENTIAL) as loader:
        pictures, _ = next(loader)
    assert pictures.shape == (12, 3, 16, 16)
    assert all(np.array_equal(pictures[n].transpose(1, 2, 0), dataset[n].picture) for n in range(12))


@pytest.mark.parametrize("threads", [1, 3])
def test_augmentation_depends_on_seed_place_and_sample_alone(directory: Path, threads: int) -> None:
    dataset = ShardDataset(directory)
    augmentation = replace(recipe("deit").augmentation, pixels=24)
    with BatchLoader(dataset, seed=4, global_batch=6, step=3, threads=threads, augmentation=augmentation) as loader:
        pictures, _ = next(loader)
    for row, number in enumerate(batch_indices(samples=12, seed=4, step=3, global_batch=6).tolist()):
        expected = np.empty((24, 24), dtype=np.uint8)
        augmentation.apply(dataset[number].picture, expected, seed=4, position=18 + row, number=number)
        assert np.array_equal(pictures[row], expected)


def test_pictures_of_different_shapes_need_an_augmentation(tmp_path: Path) -> None:
    for number, side in enumerate((16, 20, 24)):
        (tmp_path / "folder" / "ant").mkdir(parents=True, exist_ok=True)
        Image.new("L", (side, side), number).save(tmp_path / "folder" / "ant" / f"{number}.png")
    pack(tmp_path / "folder", tmp_path / "out")
    dataset = ShardDataset(tmp_path / "out")
    with (
        BatchLoader(dataset, seed=0, global_batch=3) as loader,
        pytest.raises(ValueError, match="pictures of different shapes make no batch; give an augmentation"),
    ):
        next(loader)
    evaluated = replace(recipe("evaluate").augmentation, pixels=18)
    with BatchLoader(dataset, seed=0, global_batch=3, augmentation=evaluated) as loader:
        assert next(loader).pictures.shape == (3, 18, 18)


def alone(directory: Path, **options: Any) -> Batch:
    """Third batch of 24 of one rank."""
    with BatchLoader(ShardDataset(directory, on_error="skip"), seed=5, global_batch=24, step=2, **options) as loader:
        return next(loader)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("world_size", [1, 4])
def test_pairs_are_mixed_at_last_the_same_on_any_ranks(directory: Path, threads: int, world_size: int) -> None:
    pictures, classes = alone(directory)
    mix = Mixing(group=4).draw(seed=5, first=48, samples=24, rows=pictures.shape[1], columns=pictures.shape[2])
    mix_pictures(pictures, mix)
    mixing = Mixing(group=4, smoothing=0.2)
    sharing = {"seed": 5, "global_batch": 24, "world_size": world_size, "step": 2, "threads": threads}
    batches = []
    for rank in range(world_size):
        with BatchLoader(ShardDataset(directory), **sharing, rank=rank, mixing=mixing, classes=4) as loader:
            batches.append(next(loader))
    assert np.array_equal(np.concatenate([batch.pictures for batch in batches]), pictures)
    labels = np.concatenate([batch.labels for batch in batches])
    assert labels.dtype == np.float32
    assert np.array_equal(labels, soft_labels(classes, mix, classes=4, smoothing=0.2))
    assert (labels.argmax(axis=1) != classes).any()


def test_partner_of_a_damaged_picture_stays_as_it_is(directory: Path) -> None:
    path = directory / "shard-00001.tar"
    content = bytearray(path.read_bytes())
    content[600] ^= 1
    path.write_bytes(content)
    plain = alone(directory)
    mixed = alone(directory, mixing=Mixing(mixup=0.8, cutmix=0.0, group=2), classes=4)
    assert len(plain.labels) == len(mixed.labels) == 22
    order = batch_indices(samples=12, seed=5, step=2, global_batch=24).tolist()
    (damaged,) = ShardDataset(directory, on_error="skip").read(np.arange(12)).damages
    partners = [place ^ 1 for place, number in enumerate(order) if number == damaged]
    kept = [place for place, number in enumerate(order) if number != damaged]
    whole = [kept.index(place) for place in partners if place in kept]
    assert whole
    assert np.array_equal(mixed.pictures[whole], plain.pictures[whole])
    assert np.array_equal(mixed.labels[whole].argmax(axis=1), plain.labels[whole])
    assert not np.array_equal(mixed.pictures, plain.pictures)


def test_each_sample_is_repeated_and_augmented_anew(directory: Path) -> None:
    augmentation = replace(recipe("fdsl-pretrain").augmentation, pixels=24)
    pictures, labels = alone(directory, augmentation=augmentation, repeats=3)
    assert labels.tolist() == labels[:8].tolist() * 3
    assert not np.array_equal(pictures[:8], pictures[8:16])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"mixing": Mixing()}, "give classes"),
        ({"mixing": Mixing(), "classes": 4, "world_size": 3}, "a multiple of 6"),
        ({"repeats": 3}, "divide the global batch of 4"),
    ],
)
def test_mixing_and_repeats_that_cannot_be_are_refused(directory: Path, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=match):
        BatchLoader(ShardDataset(directory), seed=0, global_batch=4, **options)


def pack_arrays(arrays: list[NDArray[Any]], folder: Path) -> ShardDataset:
    """A dataset of arrays, in this order."""
    folder.mkdir()
    with tarfile.open(folder / "a.tar", "w") as written:
        for number, array in enumerate(arrays):
            file = io.BytesIO()
            np.save(file, array)
            info = tarfile.TarInfo(f"{number:04d}.npy")
            info.size = file.tell()
            file.seek(0)
            written.addfile(info, file)
    pack(folder / "a.tar", folder / "out")
    return ShardDataset(folder / "out")


@pytest.mark.parametrize("augmentation", [None, recipe("evaluate").augmentation])
def test_grey_photographs_among_those_in_colour_have_three_equal_planes(
    tmp_path: Path, augmentation: Augmentation | None
) -> None:
    random = np.random.default_rng(0)
    arrays = [random.integers(0, 256, (256, 256, *colours), dtype=np.uint8) for colours in ((), (), (3,), (3,))]
    with BatchLoader(
        pack_arrays(arrays, tmp_path / "mixed"),
        seed=0,
        global_batch=4,
        order=SampleOrder.SEQUENTIAL,
        augmentation=augmentation,
    ) as loader:
        pictures, _ = next(loader)
    assert pictures.shape[:2] == (4, 3)
    assert [bool((planes == planes[0]).all()) for planes in pictures] == [True, True, False, False]
    if augmentation is None:
        assert np.array_equal(pictures[1, 2], arrays[1])
        assert np.array_equal(pictures[3].transpose(1, 2, 0), arrays[3])


def test_a_picture_in_colour_after_many_in_grey_is_named(tmp_path: Path) -> None:
    dataset = pack_arrays([np.ones((8, 8, *colours), dtype=np.uint8) for colours in [()] * 16 + [(3,)]], tmp_path / "a")
    with (
        BatchLoader(dataset, seed=0, global_batch=17) as loader,
        pytest.raises(ValueError, match="sample 16 is in colour, and none of the first 16 is"),
    ):
        next(loader)


@pytest.mark.parametrize("kind", [(np.float32, (16, 16)), (np.uint8, (16,)), (np.uint8, (16, 16, 4))])
def test_arrays_that_are_no_pictures_are_refused(tmp_path: Path, kind: tuple[type, tuple[int, ...]]) -> None:
    dataset = pack_arrays([np.ones(kind[1], dtype=kind[0])] * 2, tmp_path / "arrays")
    loader = BatchLoader(dataset, seed=0, global_batch=2)
    with pytest.raises(ValueError, match=r"sample [01] is (float32|uint8) of shape .*: no picture"):
        next(loader)
    assert list(loader) == []


def test_a_loader_whose_first_picture_is_damaged_is_closed(directory: Path) -> None:
    flip(directory / "shard-00000.tar", 600)
    loader = BatchLoader(ShardDataset(directory), seed=0, global_batch=4)
    with pytest.raises(ShardError, match="checksum"):
        next(loader)
    assert list(loader) == []


def test_integers_of_numpy_do_not_overflow(directory: Path) -> None:
    sharing = {"samples": 10**6, "seed": 0}
    small = batch_indices(**sharing, step=np.int32(5_000_000), global_batch=np.int16(1024))
    assert np.array_equal(small, batch_indices(**sharing, step=5_000_000, global_batch=1024))
    with BatchLoader(ShardDataset(directory), seed=0, global_batch=4, step=np.int32(2**31 - 1)) as loader:
        next(loader)
        assert loader.step == 2**31
