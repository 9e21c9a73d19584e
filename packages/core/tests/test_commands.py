"""fujimi plugins and fujimi machine: what they print."""

import json
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import pytest
from fujimi_core import commands
from fujimi_core.cli import main
from fujimi_core.hookspecs import hookimpl
from fujimi_core.machine import Machine, NetworkAxis
from fujimi_core.plugins import Plugins

SOURCES = {
    "nodes": "toy manual, p. 1",
    "node.device.memory_efficiency": "unverified: a guess",
    "network.hop_latency_s": "unverified",
    "network.axes[0].extent": "toy manual, p. 8",
}


@pytest.fixture
def toy(machine: Machine) -> Machine:
    network = replace(machine.network, axes=(NetworkAxis(name="x", extent=8, wrap=True),))
    return replace(machine, network=network, sources=SOURCES)


@pytest.fixture
def plugins(toy: Machine) -> Plugins:
    @hookimpl
    def fujimi_machines() -> Sequence[Machine]:
        return [replace(toy, name="zoo", nodes=158_976), toy]

    @hookimpl
    def fujimi_models() -> Sequence[object]:
        raise RuntimeError("no beads")

    found = Plugins()
    found.register(commands, "core")
    found.register(SimpleNamespace(fujimi_machines=fujimi_machines), "toys")
    found.register(SimpleNamespace(fujimi_models=fujimi_models), "bad")
    return found


@pytest.fixture
def show(plugins: Plugins, capsys: pytest.CaptureFixture[str]) -> str:
    assert main(["machine", "show", "toy"], plugins) == 0
    return capsys.readouterr().out


def test_machines_are_listed_by_name(plugins: Plugins, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["machine", "list"], plugins) == 0
    header, toy, zoo = capsys.readouterr().out.splitlines()
    assert header.split() == ["machine", "nodes", "devices", "a", "node", "what"]
    assert toy.split()[:2] == ["toy", "8"]
    assert zoo.split()[:2] == ["zoo", "158,976"]
    assert main(["machine", "list", "--json"], plugins) == 0
    assert [each["nodes"] for each in json.loads(capsys.readouterr().out)] == [8, 158_976]


def test_every_quantity_is_shown_with_its_unit_and_source(show: str) -> None:
    lines = {line.split()[0]: line for line in show.splitlines() if line}
    assert lines["toy:"] == "toy: A toy"
    assert lines["nodes"].endswith("toy manual, p. 1")
    assert "0.5" in lines["node.device.memory_efficiency"]
    assert lines["node.device.memory_efficiency"].endswith("unverified: a guess")
    assert "1 TFLOP/s" in lines["node.device.peak_flops_per_s.float32"]
    assert "100 ns" in lines["network.hop_latency_s"]
    assert lines["network.axes[0].extent"].split()[1] == "8"
    assert lines["network.axes[0].extent"].endswith("toy manual, p. 8")


def test_last_line_counts_the_values_that_nobody_could_check(show: str) -> None:
    assert show.splitlines()[-1] == "2 of 4 values are unverified: no document was found for them"


def test_machine_as_json_holds_its_sources(plugins: Plugins, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["machine", "show", "toy", "--json"], plugins) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["sources"] == SOURCES
    assert shown["network"]["axes"] == [{"name": "x", "extent": 8, "wrap": True, "unit": False}]


def test_machine_that_nobody_offers_is_refused(plugins: Plugins, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["machine", "show", "tyo"], plugins) == 2
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err == "fujimi: error: Unknown machine: 'tyo'. Known: toy, zoo. Did you mean 'toy'?\n"


def test_plugins_are_listed_with_their_hooks_and_problems(plugins: Plugins, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins"], plugins) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "fujimi_models failed: RuntimeError: no beads" in lines["bad"]
    assert lines["core"].split() == ["core", "ok", "fujimi_commands"]
    assert lines["toys"].split() == ["toys", "ok", "fujimi_machines"]
    assert main(["plugins", "--json"], plugins) == 0
    infos = {info["name"]: info for info in json.loads(capsys.readouterr().out)}
    assert infos["bad"]["problem"] == "fujimi_models failed: RuntimeError: no beads"
    assert infos["toys"]["hooks"] == ["fujimi_machines"]
