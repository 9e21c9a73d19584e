import os
import subprocess
import sys
from types import ModuleType

import pytest
from fujimi_parallel.mpi import register

FOUND_BY_AN_OUTSIDER = """
import sys
import torch.distributed as dist
assert dist.is_mpi_available()
assert not {"mpi4py", "mpi4py.MPI", "fujimi_core", "fujimi_parallel.mpi.group"} & set(sys.modules), "loaded too early"
"""


def test_import_of_torch_makes_the_backend_known_and_loads_nothing_else():
    done = subprocess.run([sys.executable, "-c", FOUND_BY_AN_OUTSIDER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_torch_without_the_backend_says_so():
    environment = os.environ | {"TORCH_DEVICE_BACKEND_AUTOLOAD": "0"}
    program = "import torch.distributed as dist; assert not dist.is_mpi_available()"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def torchs_module(monkeypatch):
    """An empty module in the place of torch's."""
    module = ModuleType("torch.distributed.distributed_c10d")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_torch_that_has_its_own_mpi_keeps_it(torchs_module):
    torchs_module.ProcessGroupMPI, torchs_module._MPI_AVAILABLE = "its own", True
    register.register()
    assert torchs_module.ProcessGroupMPI == "its own"


def test_torch_that_looks_different_inside_is_left_alone(torchs_module):
    before = set(vars(torchs_module))
    register.register()
    assert set(vars(torchs_module)) == before


def test_torch_without_distributed_is_left_alone(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.distributed.distributed_c10d", None)
    register.register()


def test_backend_is_not_offered_without_mpi4py(torchs_module, monkeypatch):
    torchs_module._MPI_AVAILABLE = False
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    register.register()
    assert torchs_module._MPI_AVAILABLE is False
    assert torchs_module.ProcessGroupMPI is register.ProcessGroupMPI
