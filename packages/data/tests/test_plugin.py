import subprocess
import sys
from importlib import import_module
from inspect import Parameter, signature

from fujimi_core.plugins import Plugins
from fujimi_data import plugin
from fujimi_data.families.visualatom import render


def plugins() -> Plugins:
    registered = Plugins(strict=True)
    registered.register(plugin, "data")
    return registered


def test_visualatom_is_offered() -> None:
    drawn = plugins().generator("visualatom").render(seed=1, category=2, instance=3, pixels=32)
    assert (drawn == render(seed=1, category=2, instance=3, pixels=32)).all()


def test_options_of_all_families_are_the_keywords_that_they_take() -> None:
    common = {"seed", "category", "instance", "pixels"}
    for generator in plugin.fujimi_generators():
        taken = signature(import_module(f"fujimi_data.families.{generator.name}").render).parameters
        assert {parameter.kind for parameter in taken.values()} == {Parameter.KEYWORD_ONLY}
        assert common <= taken.keys(), generator.name
        assert generator.options == {name: taken[name].default for name in taken if name not in common}, generator.name


def test_these_commands_are_offered() -> None:
    verbs = ["categories", "families", "generate", "info", "pack", "show", "unpack", "verify"]
    assert sorted(plugins().commands()) == [f"data {verb}" for verb in verbs]


def test_the_plugin_is_installed() -> None:
    assert "visualatom" in Plugins.installed(disabled=()).generators()


def loaded_by(*modules: str) -> set[str]:
    """Modules that a fresh interpreter has after importing some."""
    program = f"import sys; import {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_the_plugin_and_the_package_import_nothing_heavy() -> None:
    assert not loaded_by("fujimi_data.plugin", "fujimi_data") & {"numba", "PIL", "rich", "torch"}
    assert not loaded_by("fujimi_data") & {"pluggy", "fujimi_core.job", "fujimi_core.machine", "fujimi_core.network"}


def test_no_module_but_the_one_of_tensors_imports_torch() -> None:
    program = (
        "import sys, pkgutil, importlib, fujimi_data\n"
        "for found in pkgutil.walk_packages(fujimi_data.__path__, 'fujimi_data.'):\n"
        "    if found.name != 'fujimi_data.tensors':\n"
        "        importlib.import_module(found.name)\n"
        "assert 'fujimi_data.families.visualatom' in sys.modules\n"
        "sys.exit('torch' in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
