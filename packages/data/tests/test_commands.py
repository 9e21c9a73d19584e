import json
import sys
from pathlib import Path

import numpy as np
import pytest
from fujimi_core.cli import main, parser
from fujimi_core.offers import Generator
from fujimi_core.plugins import Plugins
from fujimi_data import plugin
from fujimi_data.generate_commands import options_of
from fujimi_data.shards.codecs import Codec
from PIL import Image


@pytest.fixture
def plugins(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> Plugins:
    registered = Plugins(strict=True)
    registered.register(plugin, "data")
    monkeypatch.setitem(registered.generators(), generator.name, generator)
    return registered


def generate(plugins: Plugins, out: Path, *more: str, family: str = "speckles") -> int:
    sizes = ["--classes", "4", "--instances", "3", "--pixels", "16", "--out", str(out)]
    return main(["data", "generate", family, *sizes, *more], plugins)


def test_generate_tells_what_it_made(plugins: Plugins, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    assert generate(plugins, out, "--samples-per-shard", "5") == 0
    printed = capsys.readouterr()
    nbytes = sum(path.stat().st_size for path in out.glob("*.tar"))
    assert f"{out}: 12 samples in 3 shards, {nbytes:,} bytes; 12 drawn now" in printed.out
    assert "images/s" in printed.out
    assert printed.err == ""


def test_progress_is_shown_on_a_terminal(
    plugins: Plugins, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert generate(plugins, tmp_path / "out") == 0
    printed = capsys.readouterr()
    assert "12/12" in printed.err
    assert printed.out.count("\n") == 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--classes", "0"], "classes is 0"),
        (["--instances", "-2"], "instances is -2"),
        (["--pixels", "5"], "pixels is 5; it must be from 16 to 16384"),
        (["--seed", "-1"], "seed is -1"),
        (["--samples-per-shard", "0"], "samples_per_shard is 0"),
    ],
)
def test_absurd_sizes_are_one_line(
    plugins: Plugins, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert generate(plugins, tmp_path / "out", *more) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("fujimi: error: ")
    assert message in printed.err
    assert printed.err.count("\n") == 1


def test_an_unknown_family_is_answered_with_a_suggestion(
    plugins: Plugins, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(plugins, tmp_path / "out", family="visualatoms") == 2
    assert "Did you mean 'visualatom'?" in capsys.readouterr().err


def test_a_file_as_directory_is_one_line(plugins: Plugins, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "out").touch()
    assert generate(plugins, tmp_path / "out") == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_info_shows_the_recipe(plugins: Plugins, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "info", str(directory), "--json"], plugins) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {
        "family": "speckles",
        "options": {},
        "codec": "png",
        "seed": 7,
        "classes": 4,
        "instances": 3,
        "pixels": 16,
        "samples_per_shard": 5,
        "samples": 12,
        "shards": 3,
        "nbytes": sum(path.stat().st_size for path in directory.glob("*.tar")),
    }
    assert main(["data", "info", str(directory)], plugins) == 0
    assert "family" in capsys.readouterr().out


def test_verify_passes_a_whole_dataset(plugins: Plugins, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "verify", str(directory)], plugins) == 0
    assert capsys.readouterr().out == f"{directory}: whole, 12 samples in 3 shards\n"
    assert main(["data", "verify", str(directory), "--json"], plugins) == 0
    assert json.loads(capsys.readouterr().out) == []


def test_verify_prints_a_line_for_each_damage(
    plugins: Plugins, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = directory / "shard-00001.tar"
    content = bytearray(path.read_bytes())
    content[3] ^= 1
    path.write_bytes(content)
    (directory / "shard-00002.tar").unlink()
    assert main(["data", "verify", str(directory)], plugins) == 2
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"{path}: sample 00001_00001 at byte 0: ")
    assert lines[1:] == [f"{directory / 'shard-00002.tar'}: missing"]
    assert main(["data", "verify", str(directory), "--json"], plugins) == 2
    assert [(each["sample"], each["offset"]) for each in json.loads(capsys.readouterr().out)] == [
        ("00001_00001", 0),
        (None, None),
    ]


@pytest.mark.parametrize("verb", ["info", "verify"])
def test_what_is_no_dataset_is_one_line(
    plugins: Plugins, tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    assert main(["data", verb, str(tmp_path)], plugins) == 2
    printed = capsys.readouterr()
    assert "no dataset" in printed.err
    assert (printed.out, printed.err.count("\n")) == ("", 1)


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        (
            "generate",
            {
                "--classes",
                "--codec",
                "--estimate",
                "--instances",
                "--option",
                "--out",
                "--part",
                "--pixels",
                "--samples-per-shard",
                "--seed",
            },
        ),
        ("families", set()),
        ("categories", {"--count", "--fill-rate", "--out", "--seed"}),
        ("show", {"--classes", "--instances", "--option", "--out", "--pixels", "--seed"}),
        ("info", {"--json"}),
        ("verify", {"--json"}),
        ("pack", {"--codec", "--out", "--shard-bytes"}),
        ("unpack", {"--out"}),
    ],
)
def test_options_are_these(plugins: Plugins, capsys: pytest.CaptureFixture[str], verb: str, options: set[str]) -> None:
    with pytest.raises(SystemExit):
        parser(plugins).parse_args(["data", verb, "--help"])
    words = capsys.readouterr().out.replace(",", " ").replace("[", " ").split()
    assert {word.rstrip("]") for word in words if word.startswith("--")} == options | {"--help"}


def test_parts_are_made_by_several_processes(
    plugins: Plugins, tmp_path: Path, directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    more = ["--samples-per-shard", "5", "--seed", "7"]
    assert generate(plugins, out, *more, "--part", "1/2") == 0
    assert f"{out}: part 1/2: 1 of 3 shards are there, the rest is other parts'; 5 drawn now" in capsys.readouterr().out
    assert generate(plugins, out, *more, "--part", "0/2") == 0
    assert "12 samples in 3 shards" in capsys.readouterr().out
    assert {path.name: path.read_bytes() for path in out.iterdir()} == {
        path.name: path.read_bytes() for path in directory.iterdir()
    }


def test_an_estimate_makes_nothing(plugins: Plugins, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate(plugins, tmp_path / "out", "--samples-per-shard", "5", "--estimate") == 0
    printed = dict(line.rsplit(None, 1) for line in capsys.readouterr().out.splitlines())
    assert printed["samples"] == "12"
    assert printed["files (inodes)"] == "5"
    assert not (tmp_path / "out").exists()


def test_generate_needs_a_directory_or_estimate(plugins: Plugins, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--classes", "4", "--instances", "3", "--pixels", "16"]
    assert main(["data", "generate", "speckles", *sizes], plugins) == 2
    assert "--out is missing: give a directory, or --estimate" in capsys.readouterr().err


def test_unknown_codec_is_answered_with_those_that_there_are(
    plugins: Plugins, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert generate(plugins, tmp_path / "out", "--codec", "pngfast") == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert "'pngfast'" in last
    assert all(codec in last for codec in Codec)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("colour", "option 'colour' is not of the form KEY=VALUE"),
        ("colour=true", "Unknown option of speckles: 'colour'"),
    ],
)
def test_wrong_options_are_one_line(
    plugins: Plugins, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, message: str
) -> None:
    assert generate(plugins, tmp_path / "out", "--option", option) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("points=300", 300), ("weight=1", 1.0), ("weight=0.25", 0.25), ("colour=true", True), ("colour=False", False),
        ("mode=fast", "fast"), ("mode=a=b", "a=b"),
    ],
)  # fmt: skip
def test_options_are_read_by_the_type_of_their_defaults(given: str, read: object) -> None:
    defaults = {"points": 1, "weight": 0.5, "colour": False, "mode": "default"}
    family = Generator(name="dots", summary="", render=lambda **_: None, options=defaults)
    name = given.partition("=")[0]
    assert options_of(family, [given]) == {**defaults, name: read}


@pytest.mark.parametrize("given", ["points=1.5", "points=many", "weight=much", "colour=1"])
def test_options_of_another_type_are_refused(given: str) -> None:
    family = Generator(
        name="dots", summary="", render=lambda **_: None, options={"points": 1, "weight": 0.5, "colour": False}
    )
    with pytest.raises(ValueError, match="it must be of type"):
        options_of(family, [given])


def test_families_are_listed_with_their_options(plugins: Plugins, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "families"], plugins) == 0
    printed = capsys.readouterr().out
    assert all(name in printed for name in plugins.generators())


def test_show_draws_a_family_and_a_dataset(
    plugins: Plugins, directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sizes = ["--classes", "2", "--instances", "3", "--pixels", "16"]
    for what in ("speckles", str(directory)):
        assert main(["data", "show", what, *sizes, "--out", str(tmp_path / "a.png")], plugins) == 0
        with Image.open(tmp_path / "a.png") as image:
            assert image.size == (2 + 3 * 18, 2 + 2 * 18)
    assert main(["data", "show", "nothing", "--out", str(tmp_path / "b.png")], plugins) == 2
    assert "Unknown generator: 'nothing'" in capsys.readouterr().err
    assert main(["data", "show", str(directory), "--option", "mode=reference"], plugins) == 2
    assert "is a dataset, drawn already: --option and --seed are for families" in capsys.readouterr().err


def test_pack_and_unpack_go_there_and_back(
    plugins: Plugins, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in" / "ant").mkdir(parents=True)
    (tmp_path / "in" / "ant" / "1.txt").write_text("one")
    assert main(["data", "pack", str(tmp_path / "in"), "--out", str(tmp_path / "out")], plugins) == 0
    assert "1 samples in 1 shards" in capsys.readouterr().out
    assert main(["data", "verify", str(tmp_path / "out")], plugins) == 0
    assert main(["data", "info", str(tmp_path / "out")], plugins) == 0
    assert "imagefolder" in capsys.readouterr().out
    assert main(["data", "unpack", str(tmp_path / "out"), "--out", str(tmp_path / "again")], plugins) == 0
    assert (tmp_path / "again" / "ant" / "1.txt").read_text() == "one"
    assert main(["data", "pack", str(tmp_path / "none"), "--out", str(tmp_path / "out2")], plugins) == 2
    assert (
        main(["data", "pack", str(tmp_path / "in"), "--out", str(tmp_path / "o"), "--shard-bytes", "0"], plugins) == 2
    )
    assert capsys.readouterr().err.count("\n") == 2


def test_categories_are_written_as_their_authors_write_them(
    plugins: Plugins, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "categories", "--count", "3", "--out", str(tmp_path / "out")]
    assert main(command, plugins) == 0
    assert "3 categories" in capsys.readouterr().out
    published = Path(__file__).parent / "data" / "fractaldb_categories.csv"
    rows = np.loadtxt(published, delimiter=",", skiprows=1)
    for number in range(3):
        written = np.loadtxt(tmp_path / "out" / f"{number:05d}.csv", delimiter=",", ndmin=2)
        assert np.array_equal(written, rows[rows[:, 0] == number, 1:])
    assert main([*command, "--fill-rate", "2"], plugins) == 2
    assert "fill_rate" in capsys.readouterr().err
