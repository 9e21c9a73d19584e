"""Jobs: defaults, round trips, --set, batches, and files that are no jobs."""

import copy
import tomllib
from pathlib import Path
from typing import Any

import pytest
from fujimi_core.errors import JobError
from fujimi_core.job import (
    AXES,
    DataSpec,
    Job,
    ModelSpec,
    OptimizerSpec,
    ParallelSpec,
    Precision,
    Recompute,
    TrainSpec,
    from_table,
    load,
    to_toml,
)
from hypothesis import given
from hypothesis import strategies as st

MINIMAL = """\
name = "tiny"
[model]
name = "vit-tiny"
[data]
family = "fractal"
classes = 10
instances = 20
[train]
steps = 3
global_batch = 8
"""

names = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
shares = st.floats(0, 1, exclude_max=True)
positive = st.integers(1, 2**40)
batches = st.tuples(positive, st.none()) | st.tuples(st.none(), positive)


@st.composite
def jobs(draw: st.DrawFn) -> Job:
    patch = draw(st.integers(1, 64))
    global_batch, batch_per_rank = draw(batches)
    return Job(
        name=draw(names),
        seed=draw(st.integers(0, 2**63 - 1)),
        model=ModelSpec(name=draw(names), patch=patch, drop_path=draw(shares)),
        data=DataSpec(
            path=draw(names), family=draw(names), classes=draw(positive), instances=1, pixels=patch * draw(positive)
        ),
        train=TrainSpec(
            steps=draw(positive),
            global_batch=global_batch,
            batch_per_rank=batch_per_rank,
        ),
        optimizer=OptimizerSpec(
            learning_rate=draw(st.floats(0, 1e300)), betas=(draw(st.floats(0, 0.999)), draw(st.floats(0, 0.999)))
        ),
        parallel=ParallelSpec(
            bucket_bytes=draw(positive),
            precision=draw(st.sampled_from(Precision)),
            recompute=draw(st.sampled_from(Recompute) | st.lists(st.integers(0, 99)).map(tuple)),
            placement=tuple(draw(st.permutations(AXES))),
        ),
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "job.toml"
    path.write_text(MINIMAL, encoding="utf-8")
    return path


def attempt(path: Path) -> Job | str:
    try:
        return load(path)
    except JobError as refused:
        return str(refused)


def refusal(table: dict[str, Any]) -> str:
    with pytest.raises(JobError) as refused:
        from_table(table, where="job.toml")
    return str(refused.value)


@given(job=jobs())
def test_job_written_as_toml_is_read_back_the_same(job: Job) -> None:
    assert from_table(tomllib.loads(to_toml(job))) == job


def test_file_of_the_least_that_is_needed_gets_every_default(file: Path) -> None:
    job = load(file)
    assert (job.seed, job.data.pixels, job.model.patch, job.parallel.precision) == (0, 224, 16, Precision.AUTO)
    assert job.optimizer == OptimizerSpec()
    assert "bucket_bytes = 26214400" in to_toml(job)


def test_bucket_may_be_written_with_its_unit(file: Path) -> None:
    assert load(file, ['parallel.bucket_bytes="25 MiB"']).parallel.bucket_bytes == 25 * 2**20
    assert load(file, ["parallel.bucket_bytes=4 MB"]).parallel.bucket_bytes == 4_000_000  # no quotes needed


@pytest.mark.parametrize(
    ("change", "read"),
    [
        ("train.steps=7", lambda job: job.train.steps == 7),
        ("parallel.precision=bfloat16", lambda job: job.parallel.precision is Precision.BFLOAT16),
        ("optimizer.betas=[0.8, 0.9]", lambda job: job.optimizer.betas == (0.8, 0.9)),
        (" model.name = vit-base ", lambda job: job.model.name == "vit-base"),
        ("name=a=b", lambda job: job.name == "a=b"),
    ],
)
def test_set_changes_one_key(file: Path, change: str, read: Any) -> None:
    assert read(load(file, [change]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("train.steps", "--set 'train.steps': write KEY=VALUE, for example train.steps=100"),
        ("=5", "--set '=5': write KEY=VALUE"),
        ("name.first=5", "--set 'name.first=5': name is no section"),
        ("train.stpes=5", "Unknown key: 'train.stpes'."),
        ("train.steps=many", "train.steps: Expected `int`, got `str`"),
    ],
)
def test_set_that_cannot_be_done_is_refused(file: Path, change: str, message: str) -> None:
    with pytest.raises(JobError) as refused:
        load(file, [change])
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("section", "key", "value", "message"),
    [
        ("train", "stpes", 5, "Did you mean 'train.steps'?"),
        ("train", "steps", "5", "train.steps: Expected `int`, got `str`"),
        ("train", "steps", 0, "train: steps is 0; at least 1 is needed"),
        ("train", "batch_per_rank", 4, "train: give exactly one of global_batch and batch_per_rank"),
        ("train", "global_batch", 0, "train: a batch of 0 samples; at least 1 is needed"),
        ("parallel", "precision", "bf16", "Did you mean 'bfloat16'?"),
        ("train", "label_smoothing", 1.5, "train: label_smoothing is 1.5; it must be from 0 to 1"),
        ("train", "checkpoint_every", -1, "train: checkpoint_every is -1; at least 0 is needed"),
        ("model", "patch", 0, "model: patch is 0; at least 1 is needed"),
        ("model", "patch", 15, "data.pixels 224 is no multiple of model.patch 15"),
        ("model", "drop_path", 2, "model: drop_path is 2"),
        ("data", "classes", 0, "data: classes is 0; at least 1 is needed"),
        ("data", "sequence", 5, "is of pictures; change one of them"),
        ("data", "mix", True, 'data: mix is as a recipe says, but augment is "none"'),
        ("data", "repeats", 0, "data: repeats"),
        ("data", "mean", -0.1, "data: mean is -0.1"),
        ("data", "std", 0, "data: std is 0"),
        ("data", "cache", "node", "data: cache is for pictures that are drawn, but source is 'shards'"),
        ("data", "order", "random", "Unknown data.order: 'random'. Known: lanes, sequential, shuffle."),
        ("data", "seed", -1, "data: seed is -1"),
        ("model", "channels", 1, "data.colour gives 3 channels, but model.channels is 1"),
        ("optimizer", "betas", [0.9, 1], "optimizer: betas are (0.9, 1.0); each must be at least 0 and below 1"),
        ("optimizer", "betas", [0.9], "optimizer.betas: Expected a list of length 2, got 1"),
        ("optimizer", "learning_rate", float("inf"), "optimizer.learning_rate is inf; a finite number is needed"),
        ("parallel", "bucket_bytes", "25 MB/s", "parallel.bucket_bytes: '25 MB/s' is in B/s; expected B"),
    ],
)
def test_value_that_is_not_allowed_is_refused_with_its_key(
    job_table: dict[str, Any], section: str, key: str, value: object, message: str
) -> None:
    if key == "channels":
        job_table["data"]["colour"] = True
    job_table.setdefault(section, {})[key] = value
    text = refusal(job_table)
    assert text.startswith("job.toml: ")
    assert message in text


@pytest.mark.parametrize(("section", "key"), [("model", "name"), ("data", "family"), ("train", "steps")])
def test_key_that_is_missing_is_named(job_table: dict[str, Any], section: str, key: str) -> None:
    table = copy.deepcopy(job_table)
    del table[section][key]
    assert refusal(table) == f"job.toml: {section}.{key} is missing"
    del table[section]
    assert refusal(table) == f"job.toml: {section} is missing"


@pytest.fixture
def token_table(job_table: dict[str, Any]) -> dict[str, Any]:
    """A job of tokens."""
    return {**job_table, "data": {"path": "text.bin", "family": "tokens", "sequence": 1024, "vocabulary": 50_257}}


def test_job_of_tokens_needs_neither_classes_nor_pixels_that_a_patch_divides(token_table: dict[str, Any]) -> None:
    token_table["model"]["patch"] = 15
    job = from_table(token_table)
    assert job.data.is_tokens
    assert (job.data.sequence, job.data.vocabulary, job.data.classes) == (1024, 50_257, None)
    assert from_table(tomllib.loads(to_toml(job))) == job
    assert "classes" not in to_toml(job)


@pytest.mark.parametrize(("key", "value"), [("sequence", 0), ("vocabulary", 0)])
def test_size_of_tokens_below_one_is_refused(token_table: dict[str, Any], key: str, value: int) -> None:
    token_table["data"][key] = value
    assert f"data: {key} is {value}; at least 1 is needed" in refusal(token_table)


@pytest.mark.parametrize(("key", "value"), [("mix", True), ("repeats", 3)])
def test_tokens_are_neither_mixed_nor_repeated(token_table: dict[str, Any], key: str, value: object) -> None:
    token_table["data"][key] = value
    assert "data: mix and repeats are of pictures, but family 'tokens'" in refusal(token_table)


@pytest.mark.parametrize("key", ["sequence", "vocabulary"])
def test_size_of_tokens_that_is_missing_is_named(token_table: dict[str, Any], key: str) -> None:
    del token_table["data"][key]
    assert f"data: {key} is missing; family 'tokens' is of tokens: give sequence and vocabulary" in refusal(token_table)


@pytest.mark.parametrize("key", ["classes", "instances"])
def test_size_of_pictures_that_is_missing_is_named(job_table: dict[str, Any], key: str) -> None:
    del job_table["data"][key]
    assert f"data: {key} is missing; family '{job_table['data']['family']}' is of pictures: give classes and inst" in (
        refusal(job_table)
    )


@pytest.mark.parametrize("key", ["classes", "instances"])
def test_size_of_pictures_in_a_job_of_tokens_is_refused(token_table: dict[str, Any], key: str) -> None:
    token_table["data"][key] = 3
    assert f"data: {key} is of pictures, but family 'tokens' is of tokens; change one of them" in refusal(token_table)


def test_job_of_packed_pictures_needs_no_instances(job_table: dict[str, Any]) -> None:
    job_table["data"] = {"path": "cifar", "family": "images", "classes": 10, "pixels": 32}
    job = from_table(job_table)
    assert job.data.is_packed
    assert from_table(tomllib.loads(to_toml(job))) == job
    job_table["data"]["source"] = "generator"
    assert "data: source is 'generator', but family 'images' has no generator" in refusal(job_table)


def test_options_of_a_family_are_kept(job_table: dict[str, Any], tmp_path: Path) -> None:
    job_table["data"]["options"] = {"weights": 0.4, "points": 1000, "repair": False, "mode": "reference"}
    job = from_table(job_table)
    (tmp_path / "job.toml").write_text(to_toml(job))
    assert load(tmp_path / "job.toml") == job
    changed = load(tmp_path / "job.toml", ["data.options.points=2000"])
    assert changed.data.options == {"weights": 0.4, "points": 2000, "repair": False, "mode": "reference"}


def test_job_without_any_batch_is_refused(job_table: dict[str, Any]) -> None:
    del job_table["train"]["global_batch"]
    assert "give exactly one of global_batch and batch_per_rank" in refusal(job_table)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seed_that_no_generator_takes_is_refused(job_table: dict[str, Any], seed: int) -> None:
    job_table["seed"] = seed
    assert refusal(job_table) == f"job.toml: seed is {seed}; it must be from 0 to 2**63 - 1"


@pytest.mark.parametrize(
    "content", [b"name = ", b"\x80\x02}q\x00", b"\x1f\x8b\x08\x00", b"name = 'a'\nname = 'b'\n", b"x = " + b"[" * 5_000]
)
def test_file_that_is_no_toml_is_refused_by_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "job.toml"
    path.write_bytes(content)
    with pytest.raises(JobError) as refused:
        load(path)
    assert str(refused.value).startswith(f"cannot read the job {path}: ")


def test_directory_and_missing_file_are_refused_by_their_names(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.toml"):
        with pytest.raises(JobError) as refused:
            load(path)
        assert str(refused.value).startswith(f"cannot read the job {path}: ")


def test_file_cut_short_at_any_byte_is_a_job_or_a_job_error(tmp_path: Path) -> None:
    path = tmp_path / "job.toml"
    for length in range(len(MINIMAL)):
        path.write_text(MINIMAL[:length], encoding="utf-8")
        outcome = attempt(path)
        assert isinstance(outcome, Job) or str(path) in outcome


def test_global_batch_is_dealt_out_evenly(job_table: dict[str, Any]) -> None:
    assert from_table(job_table).batch_on(16) == 4


def test_batch_per_rank_does_not_depend_on_the_ranks(job_table: dict[str, Any]) -> None:
    job = from_table(job_table).with_batch_per_rank(3)
    assert [job.batch_on(ranks) for ranks in (1, 7, 158_976)] == [3, 3, 3]
    assert job.train.global_batch is None


def test_batch_that_does_not_divide_is_refused_with_ways_out(job_table: dict[str, Any]) -> None:
    with pytest.raises(JobError) as refused:
        from_table(job_table).batch_on(48)
    assert str(refused.value) == (
        "job 'tiny': train.global_batch 64 does not divide into 48 data-parallel ranks; "
        "use a multiple of 48, other ranks, or train.batch_per_rank"
    )


@pytest.mark.parametrize("ranks", [0, -1])
def test_job_on_no_rank_is_refused(job_table: dict[str, Any], ranks: int) -> None:
    with pytest.raises(JobError, match=f"at least one rank, not on {ranks}"):
        from_table(job_table).batch_on(ranks)


def test_precision_can_be_replaced(job_table: dict[str, Any]) -> None:
    job = from_table(job_table)
    assert job.with_precision(Precision.FLOAT32).parallel.precision is Precision.FLOAT32
    assert job.parallel.precision is Precision.AUTO


def test_job_file_of_the_readme_is_valid_and_names_every_key():
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    table = tomllib.loads(readme.partition("```toml")[2].partition("```")[0])
    job = from_table(table)
    complete = tomllib.loads(to_toml(job))
    missing = {f"{section}.{key}" for section, keys in complete.items() if isinstance(keys, dict) for key in keys} - {
        f"{section}.{key}" for section, keys in table.items() if isinstance(keys, dict) for key in keys
    }
    assert missing == set()


def test_drop_path_that_leaves_out_everything_is_refused():
    with pytest.raises(ValueError, match=r"drop_path is 1\.0; it must be at least 0 and below 1"):
        ModelSpec(name="vit", drop_path=1.0)
