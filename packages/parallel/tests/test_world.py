import json
import os
import socket
import subprocess
import sys
from types import SimpleNamespace

import pytest
from fujimi_core.errors import RunError
from fujimi_parallel import world
from fujimi_parallel.world import join, stop_all, usual_backend

SUM_OF_RANKS = """
import json, sys
from pathlib import Path
import torch
import torch.distributed as dist
from fujimi_parallel.world import join
with join(*sys.argv[2:]) as world:
    value = torch.tensor([float(world.rank)])
    dist.all_reduce(value)
    found = [dist.get_backend(), world.rank, world.size, world.local_rank, world.local_size, value.item()]
    (Path(sys.argv[1]) / str(world.rank)).write_text(json.dumps(found))
"""


def test_one_process_is_a_world_of_one_rank():
    with join() as world:
        assert (world.rank, world.size, world.captured) == (0, 1, False)


@pytest.mark.parametrize(("asked", "backend"), [((), "mpi"), (("gloo",), "gloo")])
def test_ranks_that_mpiexec_started_talk_over_mpi_unless_gloo_is_asked_for(run_ranks, asked, backend):
    found = [json.loads(text) for text in run_ranks(SUM_OF_RANKS, 3, *asked)]
    local_ranks = {each.pop(3) for each in found}  # which a launcher gives out as it likes
    assert local_ranks == {0, 1, 2}
    assert found == [[backend, rank, 3, 3, 3.0] for rank in range(3)]


@pytest.mark.parametrize(
    ("launcher", "has_gpu", "backend"),
    [("mpi", False, "mpi"), ("torchrun", False, "gloo"), ("mpi", True, "nccl"), ("torchrun", True, "nccl")],
)
def test_backend_goes_by_launcher_and_device_where_none_is_asked_for(launcher, has_gpu, backend):
    assert usual_backend(launcher, has_gpu=has_gpu) == backend


def of_srun(rank, ranks, **more):
    """The environment that ``srun --mpi=none`` leaves in a process of a step on one node."""
    numbers = {"SLURM_PROCID": rank, "SLURM_LOCALID": rank, "SLURM_STEP_NUM_TASKS": ranks}
    slurm = {"SLURM_STEP_ID": 0, "SLURM_NODEID": 0, "SLURM_STEP_TASKS_PER_NODE": ranks, **numbers, **more}
    return {**os.environ, **{name: str(value) for name, value in slurm.items()}}


def test_ranks_that_srun_started_without_mpi_meet_where_the_batch_script_says(tmp_path):
    program = """
import os, sys
from pathlib import Path
import torch
import torch.distributed as dist
from fujimi_parallel.world import join
with join() as world:
    value = torch.tensor([2.0**world.rank])
    dist.all_reduce(value)
    (Path(sys.argv[1]) / str(world.rank)).write_text(f"{world.size} {value.item()} {dist.get_backend()}")
"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free.getsockname()[1]}
    command = [sys.executable, "-c", program, str(tmp_path)]
    started = [subprocess.Popen(command, env=of_srun(rank, 2, **where)) for rank in range(2)]
    assert [process.wait(timeout=120) for process in started] == [0, 0]
    assert [(tmp_path / str(rank)).read_text() for rank in range(2)] == ["2 3.0 gloo"] * 2


def test_ranks_that_srun_did_not_tell_where_to_meet_are_told_how(monkeypatch):
    for name, value in of_srun(1, 2).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    monkeypatch.setenv("MASTER_PORT", "1")
    with (
        pytest.raises(RunError, match=r"srun started 2 ranks without MPI and without MASTER_ADDR: .*fujimi submit"),
        join(),
    ):
        pass


@pytest.fixture
def one_of_four(monkeypatch):
    """An environment as mpiexec leaves it."""
    monkeypatch.setenv("PMI_RANK", "0")
    monkeypatch.setenv("PMI_SIZE", "4")


class Ranks:
    """An MPI communicator that writes down when it is aborted."""

    def __init__(self, told, size=1):
        self.told, self.size = told, size

    def Get_size(self):
        return self.size

    def Abort(self, code):
        self.told.append(code)


@pytest.mark.usefixtures("one_of_four")
def test_library_of_another_mpi_than_the_launcher_is_refused_instead_of_waited_for(monkeypatch):
    monkeypatch.setattr(world, "load_mpi", lambda: SimpleNamespace(COMM_WORLD=Ranks([])))
    with pytest.raises(RunError, match=r"started 4 ranks, the MPI library sees 1: .* start with the mpiexec"), join():
        pass


@pytest.fixture
def no_library(monkeypatch):
    """As if there were no MPI library, even if another test has loaded one."""
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", None)
    monkeypatch.delattr("mpi4py.MPI", raising=False)


@pytest.mark.usefixtures("one_of_four", "no_library")
def test_missing_mpi_library_is_answered_with_a_way_to_get_one():
    with pytest.raises(RunError, match=r"no MPI library can be loaded: .*pip install mpich"), join():
        pass


@pytest.mark.usefixtures("one_of_four")
def test_reason_is_told_before_all_ranks_are_ended(monkeypatch):
    told = []
    monkeypatch.setattr(world, "load_mpi", lambda: SimpleNamespace(COMM_WORLD=Ranks(told)))
    stop_all(7, say=lambda: told.append("why"))
    assert told == ["why", 7]


@pytest.mark.usefixtures("one_of_four", "no_library")
def test_reason_is_told_even_where_mpi_cannot_be_loaded():
    told = []
    stop_all(7, say=lambda: told.append("why"))
    assert told == ["why"]


def test_process_that_is_alone_is_not_ended():
    told = []
    stop_all(7, say=lambda: told.append("why"))
    assert told == ["why"]
