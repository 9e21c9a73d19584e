import math
import os

import pytest
import torch
from fujimi_core.job import Precision
from fujimi_core.mesh import Mesh
from fujimi_parallel.world import World
from fujimi_train import device
from fujimi_train.device import decide_precision, device_name, device_of, measure_peak, share_cores

CPU = torch.device("cpu")


def rank_of_node(local_rank, local_size):
    return World(rank=local_rank, mesh=Mesh.of(dp=local_size), local_rank=local_rank, local_size=local_size)


@pytest.fixture
def threads():
    """Leaves the number of threads as it was."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_rank_takes_the_cpu_where_there_is_no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device_of(rank_of_node(0, 1)) == CPU


def test_ranks_of_a_node_take_its_gpus_in_turn(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert [device_of(rank_of_node(rank, 5)).index for rank in range(5)] == [0, 1, 2, 3, 0]


@pytest.mark.parametrize(("cores", "ranks", "expected"), [(8, 2, 4), (7, 2, 3), (2, 4, 1)])
def test_ranks_share_the_cores_of_a_node(monkeypatch, threads, cores, ranks, expected):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)))
    assert share_cores(rank_of_node(0, ranks)) == expected
    assert torch.get_num_threads() == expected


@pytest.mark.parametrize(("fast", "expected"), [(True, Precision.BFLOAT16), (False, Precision.FLOAT32)])
def test_open_precision_is_bfloat16_where_the_device_multiplies_it(make_job, monkeypatch, fast, expected):
    monkeypatch.setattr(device, "has_fast_bfloat16", lambda: fast)
    assert decide_precision(make_job(parallel={"precision": "auto"}), CPU).parallel.precision is expected


def test_precision_that_the_job_names_is_kept(make_job, monkeypatch):
    monkeypatch.setattr(device, "has_fast_bfloat16", lambda: True)
    assert decide_precision(make_job(), CPU).parallel.precision is Precision.FLOAT32


def test_name_tells_how_many_cores_the_rank_uses(threads):
    torch.set_num_threads(1)
    assert device_name(CPU).endswith(", 1 core(s)")


@pytest.mark.parametrize("precision", [Precision.FLOAT32, Precision.BFLOAT16])
def test_peak_is_some_speed(monkeypatch, precision):
    monkeypatch.setattr(device, "_MEASURE_S", 0.01)
    assert 1e8 < measure_peak(CPU, precision) < math.inf
