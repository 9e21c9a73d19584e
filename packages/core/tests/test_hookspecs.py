"""Every hook: documented, typed and tested, and called with what its specification says."""

import inspect
import typing
from pathlib import Path
from typing import Any

import pytest
from fujimi_core import hookspecs
from fujimi_core.plugins import Plugins

HOOKS = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("fujimi_")}
every_hook = pytest.mark.parametrize("name", HOOKS)


@every_hook
def test_hook_is_documented(name: str) -> None:
    first, *_ = (inspect.getdoc(HOOKS[name]) or "").splitlines() or [""]
    assert first.endswith(".")
    assert len(first.split()) >= 4


@every_hook
def test_hook_is_typed(name: str) -> None:
    hints = typing.get_type_hints(HOOKS[name])
    assert set(hints) == {*inspect.signature(HOOKS[name]).parameters, "return"}


@every_hook
def test_hook_has_a_test_in_this_package(name: str) -> None:
    tests = [path for path in Path(__file__).parent.glob("test_*.py") if path.name != Path(__file__).name]
    assert any(f"def {name}(" in path.read_text(encoding="utf-8") for path in tests), f"write a test with {name}"


@every_hook
def test_hook_is_called_by_the_plugin_manager(name: str) -> None:
    assert f'"{name}"' in inspect.getsource(inspect.getmodule(Plugins) or Plugins)


@every_hook
def test_offers_take_nothing_and_return_sequences_decisions_answer_or_decline(name: str) -> None:
    returned: Any = typing.get_type_hints(HOOKS[name])["return"]
    is_offer = not inspect.signature(HOOKS[name]).parameters
    is_decision = bool(HOOKS[name].fujimi_spec["firstresult"])
    if is_offer:
        assert typing.get_origin(returned).__name__ == "Sequence"
    elif is_decision:
        assert type(None) in typing.get_args(returned)
    else:
        assert returned is type(None)
