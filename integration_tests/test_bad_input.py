"""What a hurried user gets wrong: one line that names the culprit and the way out, exit code 2, no traceback."""

import shutil
from pathlib import Path

import pytest

BLOCK = 512


@pytest.fixture
def refused(fujimi):
    """Runs the program, which must refuse in one line; returns it."""

    def run(*arguments, **keywords):
        done = fujimi(*arguments, **keywords)
        assert done.returncode == 2, f"exit code {done.returncode}: {done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr
        if "verify" in arguments:  # the damages are its result
            return done.stdout
        assert done.stdout == ""
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("fujimi: error: ")]
        assert done.stderr.endswith(f"{line}\n")
        return line

    return run


@pytest.fixture
def job_with(small, tmp_path):
    """The small job with some text replaced."""

    def make(old, new):
        text = small.read_text()
        assert old in text
        file = tmp_path / "job.toml"
        file.write_text(text.replace(old, new))
        return file

    return make


@pytest.fixture
def copied(small, tmp_path):
    """A copy of the small dataset, to be damaged."""
    return Path(shutil.copytree(small.parent / "data", tmp_path / "data"))


def fugaku(job, nodes="64"):
    return ["simulate", job, "--machine", "fugaku", "--nodes", nodes, "--json"]


def test_unknown_key_of_a_job_is_named_with_the_one_that_was_meant(refused, job_with):
    said = refused(*fugaku(job_with("steps", "step")))
    assert "job.toml: Unknown key: 'train.step'" in said
    assert "Did you mean 'train.steps'?" in said


def test_unknown_key_to_set_is_named(refused, small):
    assert "Unknown key: 'train.stepz'" in refused("train", small, "--set", "train.stepz=3")


def test_unknown_machine_is_named_with_those_there_are(refused, small):
    said = refused("simulate", small, "--machine", "fugakku", "--nodes", "64")
    assert "Unknown machine: 'fugakku'. Known: a100-4hdr, abci" in said
    assert "Did you mean 'fugaku'?" in said


@pytest.mark.parametrize("command", ["generate", "simulate"])
def test_unknown_generator_is_named_with_the_one_that_was_meant(refused, job_with, tmp_path, command):
    generate = ["data", "generate", "visualatm", "--classes", 2, "--instances", 2, "--pixels", 32, "--out", tmp_path]
    arguments = generate if command == "generate" else fugaku(job_with('family = "visualatom"', 'family = "visualatm"'))
    said = refused(*arguments)
    assert "Unknown generator: 'visualatm'" in said
    assert "Did you mean 'visualatom'?" in said


def test_unknown_model_is_named(refused, job_with):
    assert "Unknown model: 'vit_tinny'" in refused(*fugaku(job_with("vit_tiny", "vit_tinny")))


def test_more_nodes_than_the_machine_has_are_refused_with_how_many_it_has(refused, small):
    said = refused(*fugaku(small, "158977"))
    assert "'fugaku' has 158,976 nodes; 158,977 cannot be used: ask for 1 to 158,976" in said


def test_batch_that_does_not_divide_into_the_ranks_is_refused(refused, job_with):
    said = refused(*fugaku(job_with("batch_per_rank = 4", "global_batch = 100")))
    assert "train.global_batch 100 does not divide into 64 data-parallel ranks" in said
    assert "use a multiple of 64" in said


def test_job_that_is_no_text_is_refused(refused, small, tmp_path):
    file = tmp_path / "job.toml"
    file.write_bytes(bytes(range(256)))
    assert f"cannot read the job {file}" in refused(*fugaku(file))
    assert f"cannot read the job {tmp_path}" in refused("train", tmp_path)


def test_shard_that_was_cut_short_is_named_by_verify_and_by_train(refused, job_with, copied, small):
    shard = copied / "shard-00001.tar"
    shard.write_bytes(shard.read_bytes()[: 3 * BLOCK])
    assert str(shard) in refused("data", "verify", copied)
    said = refused("train", job_with(str(small.parent / "data"), str(copied)))
    assert f"{shard}: at byte {3 * BLOCK}: has {3 * BLOCK} bytes" in said
    assert (
        f"To make or mend it: fujimi data generate visualatom --classes 3 --instances 8 --pixels 32 --out {copied}"
        in said
    )


@pytest.mark.parametrize(("where", "offset"), [("header", 20), ("payload", BLOCK + 40)])
def test_flipped_bit_is_named_with_shard_sample_and_byte(refused, job_with, copied, small, where, offset):
    shard = copied / "shard-00000.tar"
    content = bytearray(shard.read_bytes())
    content[offset] ^= 4
    shard.write_bytes(content)
    said = refused("data", "verify", copied)
    assert str(shard) in said
    assert "00000_00000" in said
    assert "byte" in said
    # a step that reads every sample
    said = refused("train", job_with(str(small.parent / "data"), str(copied)), "--set", "train.batch_per_rank=24")
    assert f"{shard}: sample 00000_00000" in said
    assert "To make or mend it: fujimi data generate visualatom" in said


def test_missing_dataset_is_answered_with_the_command_that_makes_it(refused, job_with, small, tmp_path):
    said = refused("train", job_with(str(small.parent / "data"), str(tmp_path / "nowhere")))
    assert f"data.path: {tmp_path / 'nowhere'}: no dataset" in said
    assert f"--out {tmp_path / 'nowhere'}" in said


def test_workload_that_was_cut_short_is_named_with_the_line(refused, workload, tmp_path):
    file = tmp_path / "small.jsonl"
    lines = workload.read_bytes().splitlines(keepends=True)
    for content, line in [(b"".join(lines[:30]), 30), (b"".join(lines[:30])[:-20], 30)]:
        file.write_bytes(content)
        said = refused(*fugaku(file, "48"))
        assert f"{file}: " in said
        assert f"line {line}" in said
        assert "capture it again" in said


def test_workload_of_other_ranks_than_the_nodes_have_is_refused(refused, workload):
    said = refused(*fugaku(workload, "64"))
    assert "workload 'small' has 48 ranks, but 64 nodes of 'fugaku' have 64 devices" in said
    assert "use --nodes 48, or capture it with --ranks 64" in said


BENCH = ["network", "bench", "fugaku", "--collective"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["all_reduc", "--bytes", 32, "--nodes", 4], "Unknown collective: 'all_reduc'. Known: all_gather"),
        (["all_reduce", "--bytes", "0", "--nodes", 4], "--bytes 0: '0' is below 1 byte"),
        (["all_reduce", "--bytes", "-32", "--nodes", 4], "--bytes -32: '-32' is below 1 byte"),
        (["all_reduce", "--bytes", "much", "--nodes", 4], "--bytes much: 'much' is no quantity"),
        (["all_reduce", "--bytes", "32,…,100", "--nodes", 4], "--bytes 32,…,100: doubling the size"),
        (["all_reduce", "--nodes", 4], "--collective all_reduce needs --bytes"),
        (["barrier", "--bytes", 32, "--nodes", 4], "--collective barrier has no bytes: leave --bytes out"),
        (["all_reduce", "--bytes", 32, "--nodes", 158_977], "'fugaku' has 158,976 nodes; 158,977 cannot be used"),
        (["all_reduce", "--bytes", 32, "--nodes", 1], "all_reduce needs at least 2 ranks"),
        (["all_reduce", "--bytes", 32, "--nodes", 9, "--shape", "2x3"], "a grid of 2x3 has 6 nodes, not 9"),
        (["all_reduce", "--bytes", 32, "--shape", "999x3x3"], "shape 999x3x3 does not fit"),
        (["all_reduce", "--bytes", 32, "--nodes", 4, "--ranks-per-node", "0"], "--ranks-per-node 0: write a whole"),
        (["all_reduce", "--bytes", 32, "--nodes", 4, "--plot", "/no/heat.png"], "there is no directory /no"),
        (["all_reduce", "--bytes", 32, "--nodes", 4, "--plot", "heat.bmp"], "Unknown kind of file: '.bmp'"),
        (["all_reduce", "--bytes", 32, "--nodes", 4, "--algorithm", "rings"], "Did you mean 'ring'?"),
        (
            ["all_reduce", "--bytes", 32, "--nodes", 7, "--algorithm", "multiport_bucket"],
            "algorithm 'multiport_bucket' cannot run all_reduce in groups of 7 on this part of 'fugaku'; these can: ",
        ),
    ],
)
def test_bench_that_makes_no_sense_is_refused_and_never_takes_no_time(refused, arguments, message):
    assert message in refused(*BENCH, *arguments)


def test_network_of_an_unknown_machine_is_refused(refused):
    assert "Unknown machine: 'fugakku'. Known: a100-4hdr, abci" in refused("network", "show", "fugakku")


@pytest.fixture
def broken_plugin(tmp_path):
    """A directory with an installed plugin that raises when it is imported."""
    (tmp_path / "fujimi_broken.py").write_text("raise OSError('its library is missing')\n")
    info = tmp_path / "fujimi_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: fujimi-broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fujimi]\nbroken = fujimi_broken\n")
    return str(tmp_path)


def test_plugin_that_raises_at_import_is_shown_and_stops_nothing(succeed, broken_plugin):
    listed = succeed("plugins", PYTHONPATH=broken_plugin)
    assert "OSError: its library is missing" in listed
    assert "fugaku" in succeed("machine", "list", PYTHONPATH=broken_plugin)


def test_plugin_that_raises_at_import_is_refused_in_strict_mode(refused, broken_plugin):
    said = refused("machine", "list", PYTHONPATH=broken_plugin, FUJIMI_STRICT_PLUGINS="1")
    assert "'broken'" in said
    assert "its library is missing" in said


def test_measurements_with_a_wrong_column_are_refused_with_what_is_allowed(refused, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("collective,nodes,size,seconds\nall_reduce,8,1024,1e-5\n")
    for command in (["network", "fit", "fugaku"], ["validate", "network"]):
        said = refused(*command, file)
        assert "mine.csv: columns are collective, nodes, size, seconds; needed: " in said
        assert "collective, nodes, bytes, seconds" in said


def test_a_measurement_that_makes_no_sense_is_refused_with_its_line(refused, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("collective,nodes,bytes,seconds\nall_reduce,8,1024,1e-5\nall_redoce,8,1024,1e-5\n")
    said = refused("validate", "network", file)
    assert "mine.csv, line 3: Unknown collective: 'all_redoce'" in said
    assert "Did you mean 'all_reduce'?" in said


def test_a_machine_without_transports_cannot_be_fitted(refused, tmp_path):
    file = tmp_path / "mine.csv"
    file.write_text("collective,nodes,bytes,seconds\nall_reduce,8,1024,1e-5\n")
    assert "machine 'abci3' has no parameters to fit" in refused("network", "fit", "abci3", file)
