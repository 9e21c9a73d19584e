"""The package as a whole: what importing it costs."""

import pkgutil
import subprocess
import sys

import fujimi_sim

MODULES = [module.name for module in pkgutil.walk_packages(fujimi_sim.__path__, "fujimi_sim.")]


def test_no_module_imports_torch_and_only_the_plots_import_matplotlib() -> None:
    light = [name for name in MODULES if name not in ("fujimi_sim.plot", "fujimi_sim.heat_plot")]
    heavy = "torch", "matplotlib", "scipy", "rich", "google.protobuf"
    program = f"import sys, {', '.join(light)}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert len(light) == len(MODULES) - 2 > 10
