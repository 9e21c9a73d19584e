import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from fujimi_core.device import Device
from fujimi_core.machine import Machine, Network, NetworkAxis, Node, Transport
from fujimi_core.plugins import Plugins
from fujimi_sim import plugin

FUGAKU_EXTENTS = (24, 23, 24, 2, 3, 2)

MachineOf = Callable[..., Machine]


def make_device() -> Device:
    return Device(
        name="test device",
        memory_bytes=32e9,
        memory_bandwidth_bytes_per_s=1e12,
        memory_efficiency=0.75,
        peak_flops_per_s={"float32": 1e12},
        gemm_efficiency=0.8,
        gemm_half_extent=100,
        kernel_overhead_s=0.0,
    )


def make_machine(
    *extents: int,
    wrap: bool | tuple[bool, ...] = True,
    unit: tuple[int, ...] = (),
    names: str = "xyzabc",
    topology: str = "torus",
    link: float = 1e9,
    hop_s: float = 1e-7,
    message_s: float = 1e-6,
    transports: Mapping[str, Transport] | None = None,
    **node: Any,
) -> Machine:
    """A machine whose links limit it, unless the node's keyword arguments say otherwise."""
    wraps = wrap if isinstance(wrap, tuple) else (wrap,) * len(extents)
    interfaces = {
        "devices": 1,
        "interfaces": 6,
        "interface_bandwidth_bytes_per_s": 100e9,
        "injection_bandwidth_bytes_per_s": 600e9,
    }
    return Machine(
        name="test",
        title="a machine of the tests",
        nodes=math.prod(extents),
        node=Node(device=make_device(), **(interfaces | node)),
        network=Network(
            topology=topology,
            axes=tuple(
                NetworkAxis(name=names[axis], extent=extent, wrap=wraps[axis], unit=axis in unit)
                for axis, extent in enumerate(extents)
            ),
            link_bandwidth_bytes_per_s=link,
            hop_latency_s=hop_s,
            message_latency_s=message_s,
            transports=transports or {},
        ),
    )


@pytest.fixture
def machine_of() -> MachineOf:
    return make_machine


@pytest.fixture
def fugaku() -> Machine:
    return make_machine(*FUGAKU_EXTENTS, wrap=(True, True, True, False, True, False), unit=(3, 4, 5))


@pytest.fixture
def plugins() -> Plugins:
    found = Plugins(strict=True)
    found.register(plugin, "sim")
    return found


@pytest.fixture
def pattern() -> Callable[..., np.ndarray]:
    """Receivers of one message from each of so many nodes, by the name of the pattern."""

    def receivers(name: str, nodes: int, *, seed: int = 0) -> np.ndarray:
        senders = np.arange(nodes)
        flipped = senders ^ (1 << (nodes.bit_length() // 2))
        return {
            "shift1": (senders + 1) % nodes,
            "half": (senders + nodes // 2) % nodes,
            "reverse": nodes - 1 - senders,
            "xor": np.where(flipped < nodes, flipped, senders),
            "random": np.random.default_rng(seed).permutation(nodes),
        }[name]

    return receivers
