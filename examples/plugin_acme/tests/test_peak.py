"""fujimi acme peak: arithmetic, output and errors."""

import json

import pytest
from fujimi_acme import plugin
from fujimi_core import Plugins
from fujimi_core.cli import main


@pytest.fixture
def plugins() -> Plugins:
    plugins = Plugins()
    plugins.register(plugin, "acme")
    return plugins


def test_peak_is_that_of_a_device_times_the_devices(plugins: Plugins, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["acme", "peak", "acme-cube", "--json"], plugins) == 0
    assert json.loads(capsys.readouterr().out) == {"float32": 512 * 20e12, "bfloat16": 512 * 160e12}


def test_table_is_for_people(plugins: Plugins, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["acme", "peak", "acme-cube"], plugins) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["float32", "10.24", "PFLOP/s"]


def test_machine_that_nobody_offers_exits_with_2(plugins: Plugins, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["acme", "peak", "acme-cubes"], plugins) == 2
    assert "Did you mean 'acme-cube'?" in capsys.readouterr().err
