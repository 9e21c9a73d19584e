import json
import sys
from pathlib import Path

import pytest
from fujimi_core.cli import main, parser
from fujimi_core.offers import Generator
from fujimi_core.plugins import Plugins
from fujimi_data import plugin


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
