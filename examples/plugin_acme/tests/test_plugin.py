"""The plugin as Fujimi finds it: installed, through its entry point."""

import math

import pytest
from fujimi_core import Plugins
from fujimi_core.cli import main


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return Plugins.installed(strict=True)  # strict: a broken plugin is an error here


def test_plugin_is_installed_and_nothing_is_wrong_with_it(plugins: Plugins) -> None:
    (acme,) = [info for info in plugins.infos() if info.name == "acme"]
    assert acme.problem == ""
    assert acme.hooks == ("fujimi_commands", "fujimi_generators", "fujimi_machines")


def test_cube_has_as_many_nodes_as_its_axes_say(plugins: Plugins) -> None:
    cube = plugins.machine("acme-cube")
    assert math.prod(axis.extent for axis in cube.network.axes) == cube.nodes == 512


def test_generator_draws_what_fujimi_asks_for(plugins: Plugins) -> None:
    picture = plugins.generator("acme-moire").render(seed=1, category=2, instance=3, pixels=48)
    assert (picture.shape, picture.dtype.name) == ((48, 48), "uint8")


def test_command_runs_under_the_program(plugins: Plugins, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["acme", "peak", "acme-cube"], plugins) == 0
    assert "10.24 PFLOP/s" in capsys.readouterr().out  # 512 times 20 TFLOP/s
