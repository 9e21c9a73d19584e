"""Small jobs, machines and workloads, and an environment in which plugins can be installed."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fujimi_core.device import Device
from fujimi_core.machine import Machine, Network, Node
from fujimi_core.mesh import Mesh
from fujimi_core.workload import Collective, CollectiveKind, Kernel, Memory, Recv, Role, Send, Workload
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # timings never decide a test
settings.load_profile("untimed")

Install = Callable[..., None]


@pytest.fixture
def job_table() -> dict[str, Any]:
    return {
        "name": "tiny",
        "model": {"name": "vit-tiny"},
        "data": {"family": "fractal", "classes": 1_000, "instances": 1_000},
        "train": {"steps": 100, "global_batch": 64},
    }


@pytest.fixture
def machine() -> Machine:
    device = Device(
        name="abacus",
        memory_bytes=2**30,
        memory_bandwidth_bytes_per_s=1e9,
        memory_efficiency=0.5,
        peak_flops_per_s={"float32": 1e12},
        gemm_efficiency=0.9,
        gemm_half_extent=100,
        kernel_overhead_s=1e-6,
    )
    node = Node(
        devices=1,
        device=device,
        interfaces=1,
        interface_bandwidth_bytes_per_s=1e9,
        injection_bandwidth_bytes_per_s=1e9,
    )
    network = Network(topology="ring", link_bandwidth_bytes_per_s=1e9, hop_latency_s=1e-7, message_latency_s=1e-6)
    return Machine(name="toy", title="A toy", nodes=8, node=node, network=network)


@pytest.fixture
def workload() -> Workload:
    kernel = Kernel(op="aten.addmm", shapes=((2, 3), (3, 4)), dtype="float32", flops=48, nbytes=104, phase="forward")
    first = (kernel, Send(nbytes=32, axis="pp", offset=1, waits=(0,)))
    all_reduce = Collective(kind=CollectiveKind.ALL_REDUCE, nbytes=4_096, axes=("dp",), dtype="float32", waits=(1,))
    last = (Recv(nbytes=32, axis="pp", offset=-1), kernel, all_reduce)
    return Workload(
        job="tiny",
        mesh=Mesh.of(pp=2, dp=4),
        samples_per_step=16,
        roles=(
            Role(name="first", where={"pp": (0, 1)}, events=first),
            Role(name="last", where={"pp": (1, 2)}, events=last, memory=Memory(peak_bytes=2**20)),
        ),
    )


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Install a distribution with one plugin, as pip would: a module and its metadata on the path."""
    site = tmp_path / "site-packages"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    modules: set[str] = set()

    def install(name: str, source: str, *, entry: str | None = None) -> None:
        module = f"fujimi_{name}_installed_by_test"
        modules.add(module)
        (site / f"{module}.py").write_text(f"from fujimi_core.hookspecs import hookimpl\n{source}\n", encoding="utf-8")
        metadata = site / f"fujimi_{name}-1.2.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: fujimi-{name}\nVersion: 1.2\n")
        (metadata / "entry_points.txt").write_text(f"[fujimi]\n{entry or name} = {module}\n")

    yield install
    for module in modules:
        sys.modules.pop(module, None)
