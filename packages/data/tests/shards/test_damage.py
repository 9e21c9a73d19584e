"""The table of damages: each is named, or skipped and counted, and never silent."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from fujimi_core.offers import Generator
from fujimi_data.errors import ShardError
from fujimi_data.loader import BatchLoader
from fujimi_data.shards import files, tar
from fujimi_data.shards.dataset import ShardDataset
from fujimi_data.shards.shard import Shard
from fujimi_data.shards.verification import damages

from ..conftest import flip, make

SHARD = "shard-00001.tar"
#: Samples of that shard.
ITS = [5, 6, 7, 8, 9]


def start(directory: Path, number: int) -> int:
    """Where a sample of the shard begins; number 10 is where the last ends."""
    return int(Shard(directory / SHARD).index.rows["offset"][number - ITS[0]]) * tar.BLOCK


def cut_inside(directory: Path) -> None:
    os.truncate(directory / SHARD, start(directory, 7) + 700)


def cut_at_a_member(directory: Path) -> None:
    os.truncate(directory / SHARD, start(directory, 8))


def cut_in_the_index(directory: Path) -> None:
    os.truncate(directory / SHARD, (directory / SHARD).stat().st_size - 1)


def cut_to_nothing(directory: Path) -> None:
    os.truncate(directory / SHARD, 0)


def flip_in_header(directory: Path) -> None:
    flip(directory / SHARD, start(directory, 6) + 3)


def flip_in_payload(directory: Path) -> None:
    flip(directory / SHARD, start(directory, 6) + 600, bit=5)


def flip_in_label(directory: Path) -> None:
    flip(directory / SHARD, start(directory, 7) - tar.BLOCK)


def flip_in_index(directory: Path) -> None:
    flip(directory / SHARD, start(directory, 10) + tar.BLOCK + 5)


def flip_in_tables(directory: Path) -> None:
    flip(directory / "dataset.index", (6 + 2) * 9)


def flip_in_both_indices(directory: Path) -> None:
    flip_in_index(directory)
    flip_in_tables(directory)


def zero_a_page(directory: Path) -> None:
    with (directory / SHARD).open("r+b") as file:
        file.seek(start(directory, 7))
        file.write(bytes(start(directory, 9) - start(directory, 7) - 100))


def remove_the_shard(directory: Path) -> None:
    (directory / SHARD).unlink()


def remove_the_tables(directory: Path) -> None:
    (directory / "dataset.index").unlink()


def replace_the_shard(directory: Path) -> None:
    (directory / SHARD).write_bytes((directory / "shard-00000.tar").read_bytes())


def append_to_the_shard(directory: Path) -> None:
    with (directory / SHARD).open("ab") as file:
        file.write(bytes(tar.BLOCK))


TABLE: list[tuple[Callable[[Path], None], list[int], str]] = [
    (cut_inside, [7, 8, 9], rf"{SHARD}: at byte \d+: has \d+ bytes, the dataset says \d+"),
    (cut_at_a_member, [8, 9], rf"{SHARD}: at byte \d+: has \d+ bytes, the dataset says \d+"),
    (cut_in_the_index, [], rf"{SHARD}: at byte \d+: has \d+ bytes, the dataset says \d+"),
    (cut_to_nothing, ITS, rf"{SHARD}: at byte 0: has 0 bytes"),
    (flip_in_header, [6], rf"{SHARD}: sample 00002_00001 at byte 2048: the checksum of headers and content"),
    (flip_in_payload, [6], rf"{SHARD}: sample 00002_00001 at byte 2048: the checksum of headers and content"),
    (flip_in_label, [6], rf"{SHARD}: sample 00002_00001 at byte 2048: the checksum of headers and content"),
    (flip_in_index, [], ""),
    (flip_in_tables, [], ""),
    (flip_in_both_indices, ITS, rf"{SHARD}: .*the checksum of the index does not match"),
    (zero_a_page, [7, 8], rf"{SHARD}: sample 00003_00001 at byte 4096: the checksum of headers and content"),
    (remove_the_shard, ITS, rf"{SHARD}: missing"),
    (remove_the_tables, [], ""),
    (replace_the_shard, ITS, rf"{SHARD}: was replaced or damaged: its index has checksum \w+, the dataset says \w+"),
    (append_to_the_shard, [], rf"{SHARD}: at byte \d+: has \d+ bytes, the dataset says \d+"),
]
each_damage = pytest.mark.parametrize(
    ("damage", "lost", "message"), TABLE, ids=lambda value: getattr(value, "__name__", "")
)


@each_damage
def test_damage_is_named(directory: Path, damage: Callable[[Path], None], lost: list[int], message: str) -> None:
    damage(directory)

    def read_all() -> None:
        dataset = ShardDataset(directory)
        for number in range(len(dataset)):
            _ = dataset[number].picture

    if message:
        with pytest.raises(ShardError, match=message):
            read_all()
    else:
        read_all()


@each_damage
def test_exactly_the_damaged_samples_are_skipped_and_counted(
    directory: Path, generator: Generator, damage: Callable[[Path], None], lost: list[int], message: str
) -> None:
    damage(directory)
    dataset = ShardDataset(directory, on_error="skip")
    read = list(dataset)
    kept = [number for number in range(12) if number not in lost]
    assert [(sample.key, sample.label) for sample in read] == [
        (f"{number % 4:05d}_{number // 4:05d}", number % 4) for number in kept
    ]
    for number, sample in zip(kept, read, strict=True):
        drawn = generator.render(seed=7, category=number % 4, instance=number // 4, pixels=16)
        assert np.array_equal(sample.picture, drawn)
    assert len(dataset.skipped) == len(lost)
    assert {Path(found.shard).name for found in dataset.skipped} <= {SHARD}
    assert all(found.sample is not None for found in dataset.skipped)


@each_damage
def test_loaders_skip_exactly_the_damaged_samples(
    directory: Path, damage: Callable[[Path], None], lost: list[int], message: str
) -> None:
    whole = ShardDataset(directory)
    pictures = {whole[number].picture.tobytes(): number for number in range(12)}
    whole.close()
    damage(directory)
    with BatchLoader(ShardDataset(directory, on_error="skip"), seed=3, global_batch=6, threads=2) as loader:
        batches = [next(loader), next(loader)]
        skipped = len(loader.skipped)
    seen = [pictures[picture.tobytes()] for batch in batches for picture in batch.pictures]
    assert sorted(seen) == [number for number in range(12) if number not in lost]
    assert [label for batch in batches for label in batch.labels] == [number % 4 for number in seen]
    assert skipped == len(lost)


@each_damage
def test_verify_lists_all_damage(
    directory: Path, damage: Callable[[Path], None], lost: list[int], message: str
) -> None:
    damage(directory)
    assert list(damages(directory))


def test_a_shard_replaced_under_the_reader_is_read_as_it_was(
    directory: Path, tmp_path: Path, generator: Generator
) -> None:
    dataset = ShardDataset(directory)
    before = dataset[5].picture
    make(generator, tmp_path / "other", seed=8)
    # as every tool does that replaces a file: a new one takes the name
    shutil.copy(tmp_path / "other" / SHARD, directory / ".new")
    (directory / ".new").replace(directory / SHARD)
    assert np.array_equal(dataset[5].picture, before)
    with pytest.raises(ShardError, match=f"{SHARD}: was replaced or damaged"):
        ShardDataset(directory)[5]


def test_a_shard_overwritten_under_the_reader_is_noticed(directory: Path, tmp_path: Path, generator: Generator) -> None:
    dataset = ShardDataset(directory)
    _ = dataset[5].picture
    make(generator, tmp_path / "other", seed=8)
    shutil.copyfile(tmp_path / "other" / SHARD, directory / SHARD)
    with pytest.raises(ShardError, match=f"{SHARD}: sample 00002_00001 at byte 2048: the checksum"):
        dataset[6]


def test_a_shard_cut_under_the_reader_is_noticed(directory: Path) -> None:
    dataset = ShardDataset(directory)
    _ = dataset[5].picture
    cut_at_a_member(directory)
    assert dataset[7].label == 3
    with pytest.raises(ShardError, match=f"{SHARD}: .* the file ends before the sample does"):
        dataset[8]
    with pytest.raises(ShardError, match=f"{SHARD}: .* the file ends before the sample does"):
        dataset.__getitems__([0, 8])


@pytest.mark.parametrize("kept", [True, False])
def test_tables_that_change_under_the_reader_make_no_wrong_samples(
    directory: Path, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    if not kept:
        monkeypatch.setattr(files, "_KEPT_NBYTES", 0)
    dataset = ShardDataset(directory)
    expected = [dataset[number].picture for number in range(12)]
    (directory / "dataset.index").write_bytes(b"\xff" * (directory / "dataset.index").stat().st_size)
    if kept:
        assert all(np.array_equal(dataset[number].picture, expected[number]) for number in range(12))
    else:
        with pytest.raises(ShardError, match=f"{SHARD}: sample 00002_00001"):
            dataset[6]


@each_damage
def test_tables_that_stay_in_their_file_lose_no_more(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    damage: Callable[[Path], None],
    lost: list[int],
    message: str,
) -> None:
    monkeypatch.setattr(files, "_KEPT_NBYTES", 0)
    damage(directory)
    dataset = ShardDataset(directory, on_error="skip")
    assert [(sample.key, sample.label) for sample in dataset] == [
        (f"{number % 4:05d}_{number // 4:05d}", number % 4) for number in range(12) if number not in lost
    ]
    assert len(dataset.skipped) == len(lost)


@pytest.mark.parametrize("place", range(0, 135, 7))
def test_every_flipped_bit_of_the_tables_is_noticed_and_loses_nothing(directory: Path, place: int) -> None:
    assert (directory / "dataset.index").stat().st_size == 135
    flip(directory / "dataset.index", place, bit=place % 8)
    dataset = ShardDataset(directory)
    assert [sample.label for sample in dataset] == [0, 1, 2, 3] * 3
    assert len(list(damages(directory))) == 1
