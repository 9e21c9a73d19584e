"""A plugin from outside, through everything it touches."""

import json

import pytest


@pytest.fixture(scope="module")
def moire(tmp_path_factory, succeed, write_job):
    directory = tmp_path_factory.mktemp("moire")
    sizes = ["--classes", 3, "--instances", 8, "--pixels", 32]
    succeed("data", "generate", "acme-moire", *sizes, "--out", directory / "data")
    return write_job(directory, family="acme-moire")


def test_plugin_is_listed_with_its_hooks(succeed):
    (acme,) = [plugin for plugin in json.loads(succeed("plugins", "--json")) if plugin["name"] == "acme"]
    assert acme["problem"] == ""
    assert acme["hooks"] == ["fujimi_commands", "fujimi_generators", "fujimi_machines"]


def test_its_pictures_are_trained_on_and_its_machine_is_simulated(moire, succeed, simulate):
    succeed("data", "verify", moire.parent / "data")
    succeed("train", moire)
    (point,) = simulate(moire, "acme-cube", "512")["points"]
    assert point["nodes"] == 512


def test_its_command_runs(succeed):
    # 158,976 nodes of 6.7584 TFLOP/s
    assert "1.074 EFLOP/s" in succeed("acme", "peak", "fugaku")


def test_disabled_plugin_is_gone(fujimi):
    done = fujimi("machine", "show", "acme-cube", FUJIMI_DISABLE_PLUGINS="acme")
    assert done.returncode == 2
    assert "Unknown machine: 'acme-cube'" in done.stderr
