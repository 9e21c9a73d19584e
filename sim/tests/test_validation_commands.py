"""fujimi network fit and fujimi validate network: what they print and write, and what they refuse."""

import csv
import json
import math
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fujimi_core.cli import main, parser
from fujimi_core.hookspecs import hookimpl
from fujimi_core.machine import Machine, NetworkAxis, Regime, Transport
from fujimi_core.measurements import Measurement, MeasurementFile
from fujimi_core.plugins import Plugins

Capture = pytest.CaptureFixture[str]

LATENCY_S, HOP_S, LINK = 4e-6, 1e-7, 1e9
OWN_HEADER = "collective,nodes,bytes,seconds,algorithm"


def read_published(row: dict[str, str]) -> Measurement:
    """Rows of the made-up publication: those of 2 nodes are for fits, and nobody knows how 'secret' works."""
    return Measurement(
        collective=row["operation"],
        nodes=int(row["nodes"]),
        nbytes=int(row["size"]),
        reported=row["how"],
        algorithm="" if row["how"] == "secret" else row["how"],
        modelled=row["how"] != "secret",
        seconds=float(row["microseconds"]) * 1e-6,
        fitted=row["nodes"] == "2",
    )


@pytest.fixture
def published(tmp_path: Path) -> MeasurementFile:
    """Rings of 2 and 8 nodes that take 10 % longer than p - 1 steps of latency, a hop and a p-th at 1 GB/s."""
    lines = ["operation,nodes,size,how,microseconds"]
    for nodes in (2, 8):
        for nbytes in (8, 4096, 1 << 20):
            step_s = LATENCY_S + HOP_S + nbytes / nodes / LINK
            lines.append(f"all_gather,{nodes},{nbytes},ring,{1.1e6 * (nodes - 1) * step_s}")
    lines.append("all_gather,8,8,secret,10")
    path = tmp_path / "published.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return MeasurementFile(
        name="published",
        machine="ring",
        source="A. Author, On rings, 2024",
        path=path,
        columns=("operation", "nodes", "size", "how", "microseconds"),
        read=read_published,  # type: ignore[arg-type]
    )


@pytest.fixture(autouse=True)
def ring(plugins: Plugins, machine: Machine, published: MeasurementFile) -> Machine:
    """The toy as a ring of 8 nodes whose messages take 4 us."""
    axes = (NetworkAxis(name="x", extent=8, wrap=True),)
    node = replace(machine.node, interface_bandwidth_bytes_per_s=1e11, injection_bandwidth_bytes_per_s=1e11)
    transports = {
        "send": Transport(regimes=(Regime(latency_s=2e-6),)),
        "mpi": Transport(regimes=(Regime(latency_s=LATENCY_S),), plan_s=1e-6),
    }
    network = replace(machine.network, topology="torus", axes=axes, hop_latency_s=HOP_S, transports=transports)
    made = replace(machine, name="ring", title="A ring", nodes=8, node=node, network=network)

    class Offers:
        @hookimpl
        def fujimi_machines(self) -> Sequence[Machine]:
            return [made]

        @hookimpl
        def fujimi_measurements(self) -> Sequence[MeasurementFile]:
            return [published]

    plugins.register(Offers(), "ring")
    return made


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A file in the project's own format: messages that take 3 us and a hop besides 1 GB/s."""
    lines = [f"send,2,{nbytes},{3e-6 + HOP_S + nbytes / LINK}," for nbytes in (0, 8, 64, 1024, 8192)]
    path = tmp_path / "own.csv"
    path.write_text("\n".join([OWN_HEADER, *lines]) + "\n", encoding="utf-8")
    return path


def run(plugins: Plugins, *words: object) -> int:
    return main([*map(str, words)], plugins)


def printed(plugins: Plugins, capsys: Capture, *words: object) -> str:
    assert run(plugins, *words) == 0
    return capsys.readouterr().out


def refused(plugins: Plugins, capsys: Capture, *words: object) -> str:
    """The only line on stderr."""
    assert run(plugins, *words) == 2
    written = capsys.readouterr()
    assert written.out == ""
    (line,) = [line for line in written.err.splitlines() if not line.startswith("fitting to ")]
    return line


VALIDATE = ("validate", "network")
RING = (*VALIDATE, "--machine", "ring")
FIT = ("network", "fit")

# validate


def test_validate_prints_a_line_for_each_group_of_rows(plugins: Plugins, capsys: Capture) -> None:
    header, checks, named, fitted, left_out = printed(plugins, capsys, *RING).splitlines()
    assert header.split() == ["rows", "number", "MAPE", "median", "bias"]
    # Measured 1.1 times as long: 1 / 1.1 - 1.
    assert checks.split() == ["not", "fitted", "3", "9.1%", "9.1%", "-9.1%"]
    assert named.split()[-4:] == ["1", "9.1%", "9.1%", "-9.1%"]
    assert fitted.split() == ["fitted", "3", "9.1%", "9.1%", "-9.1%"]
    assert left_out.startswith("not modelled: 1 row")


def test_validate_prints_the_same_as_json(plugins: Plugins, capsys: Capture) -> None:
    found = json.loads(printed(plugins, capsys, *RING, "--json"))
    error = 1 / 1.1 - 1
    assert found["fitted"] == {
        "rows": 3,
        "mean_absolute": pytest.approx(-error),
        "median_absolute": pytest.approx(-error),
        "bias": pytest.approx(error),
    }
    assert list(found) == ["not fitted", "not fitted, 1 MiB and more, algorithm named", "fitted"]


def test_validate_writes_every_row_that_is_modelled(plugins: Plugins, capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    printed(plugins, capsys, *RING, "--rows", path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["nodes"], row["bytes"]) for row in rows] == [(n, b) for n in "28" for b in ("8", "4096", "1048576")]
    assert [row["fitted"] for row in rows] == ["True"] * 3 + ["False"] * 3
    for row in rows:
        simulated_s = (int(row["nodes"]) - 1) * (LATENCY_S + HOP_S + int(row["bytes"]) / int(row["nodes"]) / LINK)
        assert float(row["simulated_s"]) == pytest.approx(simulated_s)
        assert float(row["error"]) == pytest.approx(float(row["simulated_s"]) / float(row["measured_s"]) - 1)
        assert (row["collective"], row["algorithm"], row["reported"], row["named"]) == (
            "all_gather",
            "ring",
            "ring",
            "True",
        )


def test_validate_writes_a_page_with_its_sources_and_simgrid(plugins: Plugins, capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    printed(plugins, capsys, *RING, "--page", path)
    shown = path.read_text(encoding="utf-8")
    assert shown.startswith("# Validation of the network\n")
    assert "Measured: A. Author, On rings, 2024.\n" in shown
    assert "### Not modelled: 1 row" in shown
    assert "| torus | pattern | bytes | here | SimGrid | error |" in shown
    assert shown.endswith("|\n")


def test_the_page_of_a_file_of_ones_own_names_that_file(
    plugins: Plugins, capsys: Capture, tmp_path: Path, own: Path
) -> None:
    path = tmp_path / "page.md"
    printed(plugins, capsys, *RING, own, "--page", path)
    shown = path.read_text(encoding="utf-8")
    assert f"Measured: {own}.\n" in shown
    assert "A. Author" not in shown


def test_files_of_ones_own_are_read_in_both_formats(
    plugins: Plugins, capsys: Capture, own: Path, published: MeasurementFile
) -> None:
    found = json.loads(printed(plugins, capsys, *RING, own, published.path, "--json"))
    # The fifth message is simulated as 2.1 us and 8.192 us.
    errors = [(2.1e-6 + n / LINK) / (3.1e-6 + n / LINK) - 1 for n in (0, 8, 64, 1024, 8192)]
    assert found["ping-pong"]["rows"] == 5
    assert found["ping-pong"]["bias"] == pytest.approx(math.fsum(errors) / 5)
    assert found["fitted"]["rows"] == 3
    assert found["not fitted"]["rows"] == 8


# fit


def test_fit_finds_the_latency_of_messages_of_ones_own(plugins: Plugins, capsys: Capture, own: Path) -> None:
    assert run(plugins, *FIT, "ring", own) == 0
    written = capsys.readouterr()
    assert written.err == "fitting to 5 rows; 0 are not modelled\n"
    transports = tomllib.loads(written.out)["network"]["transports"]
    assert transports["source"] == "fitted by `fujimi network fit ring` to 5 measurements"
    (regime,) = transports["value"]["send"]["regimes"]
    # From 2 us most of the way to 3 us, where it would be if nothing held it.
    assert 2.3e-6 < float(regime["latency_s"].removesuffix(" µs")) * 1e-6 < 3.0e-6
    assert "# mpi.regimes[0].latency_s: kept, no measurement depends on it" in written.out
    assert "# latency_s was 2 µs" in written.out


def test_fit_prints_the_same_as_json(plugins: Plugins, capsys: Capture, own: Path) -> None:
    found = json.loads(printed(plugins, capsys, *FIT, "ring", own, "--json"))
    (value,) = found["values"]
    assert (value["transport"], value["regime"], value["field"]) == ("send", 0, "latency_s")
    assert (value["before"], 2.3e-6 < value["after"] < 3.0e-6) == (2e-6, True)
    assert found["errors"]["rows"] == 5


def test_fit_takes_only_those_published_rows_that_are_meant_for_it(plugins: Plugins, capsys: Capture) -> None:
    assert run(plugins, *FIT, "ring") == 0
    assert capsys.readouterr().err == "fitting to 3 rows; 0 are not modelled\n"


def test_fit_takes_all_rows_of_a_file_that_is_named(
    plugins: Plugins, capsys: Capture, published: MeasurementFile
) -> None:
    assert run(plugins, *FIT, "ring", published.path) == 0
    assert capsys.readouterr().err == "fitting to 6 rows; 1 are not modelled\n"


# options


def test_options_are_these(plugins: Plugins) -> None:
    for words, expected in [
        (["validate", "network"], {"files": [], "machine": "fugaku", "page": None, "rows": None, "json": False}),
        (["network", "fit", "ring", "a.csv"], {"machine": "ring", "files": [Path("a.csv")], "json": False}),
    ]:
        arguments = vars(parser(plugins).parse_args(words))
        del arguments["command"]
        assert arguments == expected


# what is refused: in one line on stderr, with exit code 2 and nothing on stdout


@pytest.mark.parametrize("words", [RING, (*FIT, "ring")])
@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            ["collective,nodes,bytes", "send,2,8"],
            "columns are collective, nodes, bytes; needed: operation, nodes, size, how",
        ),
        (["a,b"], "; or collective, nodes, bytes, seconds"),
        ([], "columns are missing; needed: operation,"),
        ([OWN_HEADER], "no measurements below the header"),
        ([OWN_HEADER, "send,2,8,1,", "sned,2,8,1,"], "line 3: Unknown collective: 'sned'. Known: all_gather, "),
        ([OWN_HEADER, "send,2,8,-1,"], "line 2: "),
        ([OWN_HEADER, "send,two,8,1,"], "line 2: invalid literal for int() with base 10: 'two'"),
        ([OWN_HEADER, "all_gather,9,8,1,"], "machine 'ring'"),
        ([OWN_HEADER, "all_gather,4,8,1,rign"], "Unknown algorithm for all_gather: 'rign'."),
    ],
)
def test_files_that_make_no_sense_are_refused(
    plugins: Plugins, capsys: Capture, tmp_path: Path, words: tuple[str, ...], lines: list[str], said: str
) -> None:
    path = tmp_path / "wrong.csv"
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    line = refused(plugins, capsys, *words, path)
    assert line.startswith("fujimi: error: ")
    assert said in line
    if "line" in said or "columns" in said:
        assert str(path) in line


@pytest.mark.parametrize("words", [RING, (*FIT, "ring")])
def test_a_file_that_is_not_there_is_named(
    plugins: Plugins, capsys: Capture, tmp_path: Path, words: tuple[str, ...]
) -> None:
    path = tmp_path / "nowhere.csv"
    assert f"cannot read the measurements {path}: " in refused(plugins, capsys, *words, path)


@pytest.mark.parametrize("option", ["--page", "--rows"])
@pytest.mark.parametrize("where", ["nowhere/file", ""])
def test_files_that_cannot_be_written_are_named(
    plugins: Plugins, capsys: Capture, tmp_path: Path, option: str, where: str
) -> None:
    path = tmp_path / where
    assert f"cannot write {path}: " in refused(plugins, capsys, *RING, option, path)


@pytest.mark.parametrize("words", [(*VALIDATE, "--machine", "toy"), (*FIT, "toy")])
def test_machines_without_measurements_need_a_file(plugins: Plugins, capsys: Capture, words: tuple[str, ...]) -> None:
    said = refused(plugins, capsys, *words)
    assert said == "fujimi: error: no plugin offers measurements of 'toy': name a file of your own"


def test_machines_without_transports_cannot_be_fitted(plugins: Plugins, capsys: Capture, own: Path) -> None:
    assert "machine 'toy' has no parameters to fit" in refused(plugins, capsys, *FIT, "toy", own)


def test_rows_that_are_all_not_modelled_are_no_validation(plugins: Plugins, capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "secret.csv"
    path.write_text("operation,nodes,size,how,microseconds\nall_gather,4,8,secret,10\n", encoding="utf-8")
    assert "none of 1 measurements is of an algorithm that is modelled" in refused(plugins, capsys, *RING, path)
    assert "no measurement is left to fit machine 'ring' to" in refused(plugins, capsys, *FIT, "ring", path)


@pytest.mark.parametrize("words", [(*VALIDATE, "--machine", "rign"), (*FIT, "rign")])
def test_unknown_machines_are_refused_with_one_that_is_near(
    plugins: Plugins, capsys: Capture, words: tuple[str, ...]
) -> None:
    assert "Unknown machine: 'rign'. Known: noisy, quad, ring, toy. Did you mean 'ring'?" in refused(
        plugins, capsys, *words
    )
