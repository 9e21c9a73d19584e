import subprocess
import sys

import pytest

IMPORT_ALL = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if module.name != "fujimi_data.tensors":  # the face for those who have torch: nothing else imports it
        importlib.import_module(module.name)
found = {"torch"} & set(sys.modules)
sys.exit(f"{found} came with {sys.argv[1]}" if found else 0)
"""


@pytest.mark.parametrize("package", ["fujimi_core", "fujimi_data", "fujimi_sim", "fujimi_a64fx", "fujimi_gpu"])
def test_torch_stays_out_of_packages_that_do_not_train(package):
    done = subprocess.run([sys.executable, "-c", IMPORT_ALL, package], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_program_starts_without_torch():
    program = "import sys; from fujimi_core.cli import main; main(['plugins']); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
