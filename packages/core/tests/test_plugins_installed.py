"""Installed plugins: found by their entry points, whole or broken, disabled or strict."""

from collections.abc import Callable
from typing import Any

import pytest
from fujimi_core.errors import PluginError
from fujimi_core.plugins import DISABLE_VARIABLE, STRICT_VARIABLE, Plugins


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DISABLE_VARIABLE, raising=False)
    monkeypatch.delenv(STRICT_VARIABLE, raising=False)


GREY = """
import numpy as np
from fujimi_core.offers import Generator
@hookimpl
def fujimi_generators():
    return [Generator(name="grey", summary="grey", render=lambda **_: np.zeros((2, 2), np.uint8))]
"""


def installed(name: str, plugins: Plugins) -> Any:
    return next((info for info in plugins.infos() if info.name == name), None)


def test_installed_plugin_is_found_through_its_entry_point(install: Callable[..., None]) -> None:
    install("acme", GREY)
    plugins = Plugins.installed()
    info = installed("acme", plugins)
    assert (info.distribution, info.hooks, info.problem) == ("fujimi-acme 1.2", ("fujimi_generators",), "")
    assert "grey" in plugins.generators()
    assert "plugins" in plugins.commands()  # core's own, through the same door


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('no licence')", "RuntimeError: no licence"),
        ("import a_module_that_nobody_has", "ModuleNotFoundError: No module named 'a_module_that_nobody_has'"),
        ("def (", "SyntaxError: "),
        ("raise SystemExit('usage: acme FILE')", "SystemExit: usage: acme FILE"),
        ("@hookimpl\ndef fujimi_machine(): return []", "unknown hook 'fujimi_machine'"),
        ("@hookimpl\ndef fujimi_machines(nodes): return []", "nodes"),
    ],
)
def test_plugin_that_is_broken_at_import_is_recorded_and_stops_nothing(
    install: Callable[..., None], source: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    install("broken", source)
    install("acme", GREY)
    plugins = Plugins.installed()
    info = installed("broken", plugins)
    assert info.problem.startswith("fujimi-broken 1.2 cannot be loaded: ")
    assert reason in info.problem
    assert info.hooks == ()
    assert installed("acme", plugins).problem == ""
    assert "grey" in plugins.generators()
    assert "machine list" in plugins.commands()
    assert "plugin 'broken': fujimi-broken 1.2 cannot be loaded" in caplog.text


@pytest.mark.parametrize("setting", ["1", "true"])
def test_strict_mode_raises_at_a_broken_plugin(
    install: Callable[..., None], monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    install("broken", "raise RuntimeError('no licence')")
    monkeypatch.setenv(STRICT_VARIABLE, setting)
    with pytest.raises(PluginError, match=r"plugin 'broken': fujimi-broken 1\.2 cannot be loaded: .*no licence"):
        Plugins.installed()
    assert installed("broken", Plugins.installed(strict=False)).problem


@pytest.mark.parametrize("setting", ["", "0"])
def test_strict_mode_can_be_switched_off(
    install: Callable[..., None], monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    install("broken", "raise RuntimeError('no licence')")
    monkeypatch.setenv(STRICT_VARIABLE, setting)
    assert installed("broken", Plugins.installed()).problem


@pytest.mark.parametrize("setting", ["acme", " other , acme ", "*"])
def test_plugins_can_be_disabled_by_name_or_all_but_core(
    install: Callable[..., None], monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    install("acme", GREY)
    monkeypatch.setenv(DISABLE_VARIABLE, setting)
    plugins = Plugins.installed()
    assert installed("acme", plugins) is None
    assert installed("core", plugins).problem == ""
    if setting == "*":
        assert [info.name for info in plugins.infos()] == ["core"]


def test_disabled_plugin_is_not_even_imported(install: Callable[..., None]) -> None:
    install("broken", "raise RuntimeError('no licence')")
    assert installed("broken", Plugins.installed(disabled=["broken"], strict=True)) is None


def test_two_distributions_with_one_name_do_not_take_each_other_down(install: Callable[..., None]) -> None:
    install("acme", GREY)
    install("rival", "", entry="acme")
    plugins = Plugins.installed()
    info = installed("acme", plugins)
    assert "cannot be loaded: ValueError: the name is taken, by fujimi-" in info.problem
    loaded = "grey" in plugins.generators()
    assert info.distribution == ("fujimi-acme 1.2" if loaded else "fujimi-rival 1.2")
