import json
from dataclasses import replace
from pathlib import Path

import pytest
from fujimi_data.errors import ShardError
from fujimi_data.shards.codecs import Codec
from fujimi_data.shards.manifest import FILE, Manifest, Recipe, ShardEntry, load, load_complete, save

RECIPE = Recipe(family="visualatom", seed=1, classes=4, instances=3, pixels=64, samples_per_shard=5)


def entry(samples: int) -> ShardEntry:
    return ShardEntry(name="shard-00000.tar", samples=samples, nbytes=1, checksum="00000000", table="00000000")


def test_shards_share_the_samples() -> None:
    assert [list(RECIPE.numbers(shard)) for shard in range(RECIPE.shards)] == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
        [10, 11],
    ]


def test_each_picture_is_one_sample_and_each_shard_has_all_classes() -> None:
    pictures = [RECIPE.picture(number) for number in range(RECIPE.samples)]
    assert sorted(pictures) == [(category, instance) for category in range(4) for instance in range(3)]
    assert {category for category, _ in pictures[:5]} == {0, 1, 2, 3}


def test_every_part_of_a_recipe_changes_its_digest() -> None:
    changes = [
        {"family": "b"}, {"seed": 2}, {"classes": 5}, {"instances": 4}, {"pixels": 65}, {"samples_per_shard": 6},
        {"options": {"colour": True}}, {"codec": Codec.LZ4},
    ]  # fmt: skip
    assert len({RECIPE.digest, *(replace(RECIPE, **change).digest for change in changes)}) == 9


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("classes", 0), ("classes", -3), ("classes", 2**32), ("instances", 0), ("pixels", 5), ("pixels", 10**6),
        ("samples_per_shard", 0), ("seed", -1), ("seed", 2**63),
    ],
)  # fmt: skip
def test_absurd_recipes_are_refused_by_name(name: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        replace(RECIPE, **{name: value})


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    manifest = Manifest(recipe=RECIPE, shards=(entry(12),))
    save(manifest, tmp_path)
    assert load(tmp_path / FILE) == load_complete(tmp_path / FILE) == manifest


def test_shards_must_have_the_samples_of_the_recipe(tmp_path: Path) -> None:
    save(Manifest(recipe=RECIPE, shards=(entry(12),)), tmp_path)
    path = tmp_path / FILE
    path.write_text(path.read_text().replace('"samples": 12', '"samples": 11'))
    with pytest.raises(ShardError, match=r"dataset\.json: the shards have 11 samples, of 12"):
        load(tmp_path / FILE)


def test_a_directory_without_the_file_is_no_dataset(tmp_path: Path) -> None:
    for directory in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ShardError, match=r"no dataset: it has no dataset\.json"):
            load(directory / FILE)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", json.dumps({"recipe": {"family": 3}}), "\x00"])
def test_a_damaged_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text)
    with pytest.raises(ShardError, match=r"dataset\.json"):
        load(tmp_path / FILE)


def test_another_version_is_refused(tmp_path: Path) -> None:
    save(Manifest(recipe=RECIPE), tmp_path)
    path = tmp_path / FILE
    path.write_text(path.read_text().replace('"version": 2', '"version": 3'))
    with pytest.raises(ShardError, match="version 3; this program reads fujimi-dataset 2"):
        load(tmp_path / FILE)


def test_an_unfinished_dataset_is_not_complete(tmp_path: Path) -> None:
    save(Manifest(recipe=RECIPE), tmp_path)
    with pytest.raises(ShardError, match="not finished: run the command"):
        load_complete(tmp_path / FILE)
