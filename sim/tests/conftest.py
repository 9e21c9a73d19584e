"""A toy machine, a job that a fake captures, and the real plugin of this package."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from fujimi_core import commands
from fujimi_core.device import Device
from fujimi_core.hookspecs import hookimpl
from fujimi_core.job import Job, from_table, to_toml
from fujimi_core.machine import Machine, Network, Node, Noise
from fujimi_core.mesh import Mesh
from fujimi_core.offers import Generator, Model
from fujimi_core.plugins import Plugins
from fujimi_core.workload import Collective, CollectiveKind, Kernel, Memory, Role, Workload
from fujimi_sim import plugin
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # timings never decide a test
settings.load_profile("untimed")

DEVICE = Device(
    name="abacus",
    memory_bytes=2**30,
    memory_bandwidth_bytes_per_s=2e9,
    memory_efficiency=0.5,
    peak_flops_per_s={"float32": 1e12, "float64": 5e11},
    gemm_efficiency=0.8,
    gemm_half_extent=0,
    kernel_overhead_s=0.0,
)


def toy(*, nodes: int = 64, devices: int = 1, std: float = 0.0) -> Machine:
    """A machine without noise whose every matrix product reaches 0.8 TFLOP/s, and whose switch never blocks."""
    node = Node(
        devices=devices,
        device=DEVICE,
        interfaces=1,
        interface_bandwidth_bytes_per_s=1e9,
        injection_bandwidth_bytes_per_s=1e9,
        peer_bandwidth_bytes_per_s=1e10,
    )
    network = Network(topology="nonblocking", link_bandwidth_bytes_per_s=1e9, hop_latency_s=0, message_latency_s=1e-6)
    return Machine(name="toy", title="A toy", nodes=nodes, node=node, network=network, noise=Noise(compute_std=std))


class Capture:
    """Captures any job as one matrix product of 8 GFLOP a sample, 10 ms at 0.8 TFLOP/s, and an all-reduce of 1 MB."""

    def __init__(self) -> None:
        self.asked: list[tuple[Job, int]] = []

    @hookimpl
    def fujimi_models(self) -> Sequence[Model]:
        return [Model(name="beads", summary="", build=lambda job: None)]

    @hookimpl
    def fujimi_generators(self) -> Sequence[Generator]:
        return [Generator(name="rods", summary="", render=lambda **_: None)]  # type: ignore[arg-type]

    @hookimpl
    def fujimi_machines(self) -> Sequence[Machine]:
        return [toy(), replace(toy(devices=4, nodes=8), name="quad"), replace(toy(std=0.05), name="noisy")]

    @hookimpl
    def fujimi_capture(self, job: Job, model: Model, ranks: int) -> Workload:
        self.asked.append((job, ranks))
        batch = job.batch_on(ranks)
        kernel = Kernel(op="aten.mm", dtype="float32", flops=batch * 8 * 10**9, nbytes=8, phase="forward")
        reduce = Collective(
            kind=CollectiveKind.ALL_REDUCE, nbytes=10**6, axes=("dp",), dtype="float32", waits=(0,), phase="backward"
        )
        role = Role(name="rank", events=(kernel, reduce), memory=Memory(peak_bytes=batch * 2**26))
        return Workload(job=job.name, mesh=Mesh.of(dp=ranks), samples_per_step=batch * ranks, roles=(role,))


@pytest.fixture
def machine() -> Machine:
    return toy()


@pytest.fixture
def capture() -> Capture:
    return Capture()


@pytest.fixture
def plugins(capture: Capture) -> Plugins:
    found = Plugins(strict=True)
    found.register(commands, "core")
    found.register(plugin, "sim")
    found.register(capture, "fake")
    return found


@pytest.fixture
def job() -> Job:
    """64 samples a step, whatever the ranks."""
    return from_table(
        {
            "name": "tiny",
            "model": {"name": "beads"},
            "data": {"family": "rods", "classes": 10, "instances": 10},
            "train": {"steps": 1, "global_batch": 64},
        }
    )


@pytest.fixture
def job_file(job: Job, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(to_toml(job), encoding="utf-8")
    return path
